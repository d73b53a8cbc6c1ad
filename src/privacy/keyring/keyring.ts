import { createHash } from 'node:crypto'
import { type Random } from '../../random.ts'
import { type CoverNode, type KeyPlace, KeyTree } from './key-tree.ts'

/** The keyring is not what it should be; the message is for the operator and quotes no secret. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError'
}

/** The bucket of what has no end of its own: its keys are destroyed one by one. */
export const keptBucket = 2 ** 24 - 1
/** The bucket of keys that belong to accounts: the leaf is the user's number. */
export const accountBucket = 2 ** 24 - 2
/** The bucket of markers: one that is destroyed tells that the account of this number was erased, not merely closed. They seal nothing. */
export const erasureBucket = 2 ** 24 - 3
/** Below this one, buckets are hours. */
export const firstOtherBucket = erasureBucket
/** Leaves are handed out by chunks, so that what dies together lies together. */
export const chunkSize = 256

/** Every key that opens what is sealed, as few bytes. Buckets are hours since the epoch: a bucket's keys die when it has passed. */
export interface Keyring {
  /** 16 bytes in hexadecimal digits: the database that it belongs to holds the same. */
  readonly id: string
  readonly serverName: string
  /** How often it was written. */
  readonly serial: number
  /** The first chunk that nobody was given. */
  readonly nextChunk: number
  /** The newest user number whose key or marker was destroyed; a restored database must not hand it out again. */
  readonly lastErased: number
  /** What new values are sealed under: 0 at first, one more after each rotation; 255 at most. */
  readonly generation: number
  readonly tree: KeyTree
  /** The keys before, while what is sealed under them is being sealed anew. */
  readonly before: { readonly generation: number; readonly tree: KeyTree } | null
}

/** Where a value's key stands. */
export interface SealPlace extends KeyPlace {
  /** 0 … 255: of which keyring's keys it is one. */
  readonly generation: number
}

/** What opens values: some of a keyring. */
export type LivingKeys = Pick<Keyring, 'generation' | 'tree' | 'before'>

/** The key at a place, 32 bytes; `null` if it has been destroyed. */
export function keyAt({ generation, tree, before }: LivingKeys, place: SealPlace): Buffer | null {
  if (place.generation === generation) return tree.keyAt(place)
  return before && place.generation === before.generation ? before.tree.keyAt(place) : null
}

const lastGeneration = 255

const magic = Buffer.from('LETHE KEYRING 1\n')
const nodeBytes = 1 + 8 + 32

/** A keyring in which every key is alive. */
export function newKeyring(serverName: string, random: Random): Keyring {
  const id = Buffer.from(random.bytes(16)).toString('hex')
  return {
    id,
    serverName,
    serial: 0,
    nextChunk: 0,
    lastErased: 0,
    generation: 0,
    tree: KeyTree.from(random.bytes(32)),
    before: null,
  }
}

/** The bytes that it is kept as. They are the keys: whoever has them and the database reads everything. */
export function encodeKeyring(keyring: Keyring): Buffer {
  const nodes = nodesOf(keyring.tree)
  const { before } = keyring
  const header: Header = {
    id: keyring.id,
    server_name: keyring.serverName,
    serial: keyring.serial,
    next_chunk: keyring.nextChunk,
    last_erased: keyring.lastErased,
    generation: keyring.generation,
    nodes: nodes.length,
    ...(before && { before: before.generation }),
  }
  const all = [...nodes, ...(before ? nodesOf(before.tree) : [])]
  const body = Buffer.concat([magic, Buffer.from(`${JSON.stringify(header)}\n`), ...all])
  return Buffer.concat([body, sha256(body)])
}

/** What stands before the nodes: in front of those of the keys that are sealed under, then those before them. */
interface Header {
  readonly id: string
  readonly server_name: string
  readonly serial: number
  readonly next_chunk: number
  readonly last_erased: number
  /** Keyrings that were written before there were rotations have none of these. */
  readonly generation?: number
  readonly nodes?: number
  readonly before?: number
}

function nodesOf(tree: KeyTree): Buffer[] {
  return [...tree.cover()].map(({ depth, prefix, key }) => Buffer.concat([Buffer.from([depth]), prefix, key]))
}

/** Throws `KeyringError` for bytes that are not a whole keyring. */
export function decodeKeyring(bytes: Buffer): Keyring {
  const body = bytes.subarray(0, -32)
  const headerEnd = body.indexOf(0x0a, magic.length)
  if (!body.subarray(0, magic.length).equals(magic) || headerEnd < 0) throw new KeyringError('It is not a keyring.')
  const nodes = body.subarray(headerEnd + 1)
  if (!sha256(body).equals(bytes.subarray(-32)) || nodes.length % nodeBytes !== 0) {
    throw new KeyringError('It is damaged: its checksum does not hold.')
  }
  // The checksum holds, so it is what `encodeKeyring` wrote.
  const header = JSON.parse(body.subarray(magic.length, headerEnd).toString()) as Header
  const ownBytes = (header.nodes ?? nodes.length / nodeBytes) * nodeBytes
  const treeIn = (bytes: Buffer) => KeyTree.fromCover(coverOf(bytes))
  return {
    id: header.id,
    serverName: header.server_name,
    serial: header.serial,
    nextChunk: header.next_chunk,
    lastErased: header.last_erased,
    generation: header.generation ?? 0,
    tree: treeIn(nodes.subarray(0, ownBytes)),
    before: header.before === undefined ? null : { generation: header.before, tree: treeIn(nodes.subarray(ownBytes)) },
  }
}

function* coverOf(nodes: Buffer): Generator<CoverNode> {
  for (let at = 0; at < nodes.length; at += nodeBytes) {
    yield { depth: nodes[at] ?? 0, prefix: nodes.subarray(at + 1, at + 9), key: nodes.subarray(at + 9, at + nodeBytes) }
  }
}

/** Tells a keyring, as it was encoded, from all others. */
export function checksumOf(encoded: Buffer): Buffer {
  return encoded.subarray(-32)
}

/** Whose a keyring is to be, and how new. */
export interface KnownKeyring {
  readonly serverName: string
  /** `null` where any keyring of the server's will do. */
  readonly keyringId: string | null
  readonly serial: number
  /** See `KeyringRow`. */
  readonly intent: Buffer | null
}

/**
 * How a keyring stands to what is known of it: `newer` tells of a database that was set back to a copy of itself, for nobody has
 * said that this keyring was about to be written.
 */
export function standingOf(keyring: Keyring, known: KnownKeyring): 'foreign' | 'older' | 'current' | 'newer' {
  if (keyring.serverName !== known.serverName) return 'foreign'
  if (known.keyringId === null) return 'current'
  if (keyring.id !== known.keyringId) return 'foreign'
  if (keyring.serial < known.serial) return 'older'
  if (keyring.serial === known.serial) return 'current'
  return known.intent?.equals(checksumOf(encodeKeyring(keyring))) === true ? 'current' : 'newer'
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** What is to be destroyed for good. */
export interface Destruction {
  readonly places: readonly SealPlace[]
  /** All buckets up to and including this one; `null`: none. */
  readonly throughBucket: number | null
}

/** The keyring without these keys. Changes the trees that it was given. */
export function withoutKeys(keyring: Keyring, { places, throughBucket }: Destruction): Keyring {
  const { generation, tree, before } = keyring
  for (const each of [tree, before?.tree]) if (throughBucket !== null) each?.destroyThrough(throughBucket)
  for (const place of places) {
    // An account has one key in each of them, and one marker.
    const isAccount = isOfAccount(place)
    if (isAccount || place.generation === generation) tree.destroy(place)
    if (isAccount || place.generation === before?.generation) before?.tree.destroy(place)
  }
  const erased = places.filter(isOfAccount).map(({ leaf }) => leaf)
  return { ...keyring, lastErased: erased.reduce((one, other) => Math.max(one, other), keyring.lastErased) }
}

/** True for the place of an account's key, and for that of its marker. */
export function isOfAccount({ bucket }: KeyPlace): boolean {
  return bucket === accountBucket || bucket === erasureBucket
}

/**
 * The keyring with new keys to seal under, in which those of closed accounts, and the markers of erased ones, are destroyed as
 * before; the ones until now open what they sealed, until `withoutBefore`. One whose rotation has not ended is returned as it is.
 */
export function rotated(keyring: Keyring, random: Random): Keyring {
  if (keyring.before) return keyring
  if (keyring.generation === lastGeneration) throw new KeyringError(`It has been rotated ${lastGeneration} times, which is as often as it can be.`) // prettier-ignore
  const tree = KeyTree.from(random.bytes(32))
  for (let leaf = 0; leaf <= keyring.lastErased; leaf++) {
    for (const place of [
      { bucket: accountBucket, leaf },
      { bucket: erasureBucket, leaf },
    ]) {
      if (!keyring.tree.keyAt(place)) tree.destroy(place)
    }
  }
  const { generation } = keyring
  return { ...keyring, generation: generation + 1, tree, before: { generation, tree: keyring.tree } }
}

/** The keyring without the keys from before its rotation: what is still sealed under them can never be opened again. */
export function withoutBefore(keyring: Keyring): Keyring {
  return { ...keyring, before: null }
}
