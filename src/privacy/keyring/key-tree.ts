import { hash } from 'node:crypto'

/** Bits of the path to a key: the bucket first, then the leaf in it. */
export const bucketBits = 24
export const leafBits = 40
const pathBits = bucketBits + leafBits
const keyBytes = 32
/** Below this depth lie the 256 keys of one chunk. */
const chunkBits = 8
const chunkDepth = pathBits - chunkBits
/** How many chunks' keys are kept at hand. */
const chunkLimit = 4_096
/** Below this depth lie 256 chunks: their common ancestor is kept at hand, since the way to it from the root is long. */
const stemDepth = chunkDepth - 8
const stemLimit = 4_096

/** Where a key stands in the tree. */
export interface KeyPlace {
  /** 0 … 2^24 − 1. */
  readonly bucket: number
  /** 0 … 2^40 − 1. */
  readonly leaf: number
}

/** A node that has a key stands for all keys below it; one that has neither key nor children is destroyed. */
interface TreeNode {
  key: Buffer | null
  left: TreeNode | null
  right: TreeNode | null
}

/** The keys on the way from a chunk's own down to the one that was asked for last: the next one shares most of them. */
interface Chunk {
  readonly keys: Buffer[]
  /** The leaf of the last key. */
  leaf: number
}

/** A node of the cover as it is kept: the keys that are alive are those below the nodes of the cover. */
export interface CoverNode {
  /** 0 … 64: how many bits of the path are fixed. */
  readonly depth: number
  /** The fixed bits, the others zero; 8 bytes. */
  readonly prefix: Buffer
  readonly key: Buffer
}

/**
 * 2^64 keys that are all derived from one, and can be destroyed one by one (Goldreich, Goldwasser and Micali's tree, as a
 * puncturable pseudo-random function). The key of a node is hashed to those of its two children. To destroy a key, its
 * ancestors are replaced by the siblings along the path to it: from what is left it cannot be computed, and everything else
 * still can. So a backup of what is sealed stays readable but for what was destroyed, and nothing need be sealed anew.
 */
export class KeyTree {
  #root: TreeNode
  /** Of chunks that are alive as a whole. */
  readonly #chunks = new Map<string, Chunk>()
  /** The ancestors of chunks that are alive as a whole. */
  readonly #stems = new Map<string, Buffer>()

  private constructor(root: TreeNode) {
    this.#root = root
  }

  /** A tree in which every key is alive. `secret`: 32 random bytes. */
  static from(secret: Uint8Array): KeyTree {
    if (secret.length !== keyBytes) throw new RangeError('a tree grows from 32 bytes')
    return new KeyTree({ key: Buffer.from(secret), left: null, right: null })
  }

  static fromCover(cover: Iterable<CoverNode>): KeyTree {
    const root: TreeNode = { key: null, left: null, right: null }
    for (const { depth, prefix, key } of cover) {
      let node = root
      for (let level = 0; level < depth; level++) {
        const side = bitOf(prefix, level) === 1 ? 'right' : 'left'
        node = node[side] ??= { key: null, left: null, right: null }
      }
      node.key = Buffer.from(key)
    }
    return new KeyTree(root)
  }

  /** The nodes that all living keys are derived from, in the order of their paths. */
  *cover(): Generator<CoverNode> {
    const path = Buffer.alloc(8)
    yield* walk(this.#root, 0)
    function* walk(node: TreeNode, depth: number): Generator<CoverNode> {
      if (node.key) yield { depth, prefix: Buffer.from(path), key: node.key }
      if (node.left) yield* walk(node.left, depth + 1)
      if (!node.right) return
      setBit(path, depth, true)
      yield* walk(node.right, depth + 1)
      setBit(path, depth, false)
    }
  }

  /** The key at a place, 32 bytes; `null` if it has been destroyed. */
  keyAt(place: KeyPlace): Buffer | null {
    const chunk = this.#chunkOf(place)
    if (chunk) return keyIn(chunk, place.leaf)
    const path = pathOf(place)
    const found = this.#find(path, pathBits)
    return found && derive(found.key, path, found.depth, pathBits)
  }

  /** Destroys the key at a place; nothing happens if it is destroyed already. */
  destroy(place: KeyPlace): void {
    const path = pathOf(place)
    this.#forgetChunks()
    const trail: TreeNode[] = []
    let node: TreeNode | null = this.#root
    for (let depth = 0; node && depth < pathBits; depth++) {
      trail.push(node)
      expand(node)
      node = bitOf(path, depth) === 1 ? node.right : node.left
    }
    if (!node) return
    wipe(node)
    for (let depth = pathBits - 1; depth >= 0; depth--) {
      const parent = trail[depth]
      if (!parent) return
      if (bitOf(path, depth) === 1) parent.right = null
      else parent.left = null
      if (parent.left || parent.right) return
    }
  }

  /** Destroys all keys of the buckets up to and including this one. */
  destroyThrough(bucket: number): void {
    this.#forgetChunks()
    const path = pathOf({ bucket: bucket + 1, leaf: 0 })
    let lastRight = -1
    for (let depth = 0; depth < bucketBits; depth++) if (bitOf(path, depth) === 1) lastRight = depth
    let node: TreeNode | null = this.#root
    for (let depth = 0; node && depth < bucketBits; depth++) {
      const isRight = bitOf(path, depth) === 1
      // Down to where the path goes right for the last time; what lies below that is alive as a whole.
      if (depth > lastRight) return
      expand(node)
      if (isRight) {
        if (node.left) wipeAll(node.left)
        node.left = null
      }
      node = isRight ? node.right : node.left
    }
  }

  /** Destroys all keys but those in the ranges, which must be in order and not touch. */
  keepOnly(ranges: readonly PathRange[]): void {
    this.#forgetChunks()
    const everything = { from: 0n, through: (1n << BigInt(pathBits)) - 1n }
    keep(this.#root, everything, ranges, 0, ranges.length)
  }

  /** How many nodes the cover has: what the keyring's size depends on. */
  get size(): number {
    let count = 0
    const waiting = [this.#root]
    for (let node = waiting.pop(); node; node = waiting.pop()) {
      if (node.key) count++
      if (node.left) waiting.push(node.left)
      if (node.right) waiting.push(node.right)
    }
    return count
  }

  /** The chunk that a place lies in; `null` if some of it is destroyed. */
  #chunkOf(place: KeyPlace): Chunk | null {
    const name = `${place.bucket} ${Math.floor(place.leaf / 2 ** chunkBits)}`
    const known = this.#chunks.get(name)
    if (known) return known
    const key = this.#chunkKey(place)
    if (!key) return null
    if (this.#chunks.size >= chunkLimit) this.#forgetChunks()
    const chunk = { keys: [key], leaf: place.leaf }
    this.#chunks.set(name, chunk)
    return chunk
  }

  #chunkKey(place: KeyPlace): Buffer | null {
    const path = pathOf(place)
    const name = `${place.bucket} ${Math.floor(place.leaf / 2 ** (pathBits - stemDepth))}`
    const known = this.#stems.get(name)
    if (known) return derive(known, path, stemDepth, chunkDepth)
    const found = this.#find(path, chunkDepth)
    if (!found || found.depth > stemDepth) return found && derive(found.key, path, found.depth, chunkDepth)
    const stem = derive(found.key, path, found.depth, stemDepth)
    if (this.#stems.size >= stemLimit) this.#forgetChunks()
    this.#stems.set(name, stem)
    return derive(stem, path, stemDepth, chunkDepth)
  }

  #find(path: Buffer, deepest: number): { key: Buffer; depth: number } | null {
    let node: TreeNode | null = this.#root
    for (let depth = 0; node; depth++) {
      if (node.key) return depth <= deepest ? { key: node.key, depth } : null
      if (depth === deepest) return null
      node = bitOf(path, depth) === 1 ? node.right : node.left
    }
    return null
  }

  #forgetChunks(): void {
    for (const { keys } of this.#chunks.values()) for (const key of keys) key.fill(0)
    for (const key of this.#stems.values()) key.fill(0)
    this.#chunks.clear()
    this.#stems.clear()
  }
}

/** Keys that follow each other: paths as numbers, the last one included. */
export interface PathRange {
  readonly from: bigint
  readonly through: bigint
}

/** The path to a place as a number: places are in its order. */
export function pathNumberOf({ bucket, leaf }: KeyPlace): bigint {
  return (BigInt(bucket) << BigInt(leafBits)) | BigInt(leaf)
}

/** Keeps of a node, which stands for `here`, what lies in the ranges from `start` up to `end`. False if nothing of it is left. */
function keep(node: TreeNode, here: PathRange, ranges: readonly PathRange[], start: number, end: number): boolean {
  const first = firstIndex(start, end, index => (ranges[index]?.through ?? 0n) >= here.from)
  const last = firstIndex(first, end, index => (ranges[index]?.from ?? 0n) > here.through)
  const only = ranges[first]
  if (first === last || !only) {
    wipeAll(node)
    return false
  }
  if (only.from <= here.from && only.through >= here.through) return true
  expand(node)
  const middle = here.from + ((here.through - here.from) >> 1n)
  const left = { from: here.from, through: middle }
  const right = { from: middle + 1n, through: here.through }
  if (node.left && !keep(node.left, left, ranges, first, last)) node.left = null
  if (node.right && !keep(node.right, right, ranges, first, last)) node.right = null
  return node.left !== null || node.right !== null
}

/** The first index from `start` for which `holds`, which holds for all after it; `end` if there is none. */
function firstIndex(start: number, end: number, holds: (index: number) => boolean): number {
  let low = start
  let high = end
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

function pathOf({ bucket, leaf }: KeyPlace): Buffer {
  const path = Buffer.alloc(8)
  path.writeUIntBE(bucket, 0, 3)
  path.writeUIntBE(leaf, 3, 5)
  return path
}

/** The bit that is decided at a depth. */
function bitOf(path: Buffer, depth: number): number {
  return ((path[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1
}

function setBit(path: Buffer, depth: number, value: boolean): void {
  const mask = 1 << (7 - (depth & 7))
  const byte = path[depth >> 3] ?? 0
  path[depth >> 3] = value ? byte | mask : byte & ~mask
}

const preimage = Buffer.alloc(keyBytes + 1)

function childOf(key: Buffer, bit: number): Buffer {
  key.copy(preimage, 0)
  preimage[keyBytes] = bit
  return hash('sha256', preimage, 'buffer')
}

/** The key of a leaf of the chunk, from the lowest ancestor that is at hand. */
function keyIn(chunk: Chunk, leaf: number): Buffer {
  const { keys } = chunk
  // The low bits of the two that differ say how far down they have their ancestors in common.
  const differing = (leaf % 2 ** chunkBits) ^ (chunk.leaf % 2 ** chunkBits)
  const common = Math.clz32(differing) - (32 - chunkBits)
  keys.length = Math.min(keys.length, common + 1)
  for (let level = keys.length; level <= chunkBits; level++) {
    const above = keys[level - 1]
    if (above) keys.push(childOf(above, (Math.floor(leaf % 2 ** chunkBits) >> (chunkBits - level)) & 1))
  }
  chunk.leaf = leaf
  return Buffer.from(keys[chunkBits] ?? Buffer.alloc(0))
}

function derive(key: Buffer, path: Buffer, from: number, to: number): Buffer {
  let derived = key
  for (let depth = from; depth < to; depth++) derived = childOf(derived, bitOf(path, depth))
  return derived === key ? Buffer.from(key) : derived
}

/** Replaces the key of a node by those of its children. */
function expand(node: TreeNode): void {
  if (!node.key) return
  node.left = { key: childOf(node.key, 0), left: null, right: null }
  node.right = { key: childOf(node.key, 1), left: null, right: null }
  node.key.fill(0)
  node.key = null
}

function wipe(node: TreeNode): void {
  node.key?.fill(0)
  node.key = null
}

function wipeAll(top: TreeNode): void {
  const waiting = [top]
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    wipe(node)
    if (node.left) waiting.push(node.left)
    if (node.right) waiting.push(node.right)
  }
}
