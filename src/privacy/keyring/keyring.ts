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
  /** The newest user number whose key was destroyed; a restored database must not hand it out again. */
  readonly lastErased: number
  readonly tree: KeyTree
}

const magic = Buffer.from('LETHE KEYRING 1\n')
const nodeBytes = 1 + 8 + 32

/** A keyring in which every key is alive. */
export function newKeyring(serverName: string, random: Random): Keyring {
  const id = Buffer.from(random.bytes(16)).toString('hex')
  return { id, serverName, serial: 0, nextChunk: 0, lastErased: 0, tree: KeyTree.from(random.bytes(32)) }
}

/** The bytes that it is kept as. They are the keys: whoever has them and the database reads everything. */
export function encodeKeyring(keyring: Keyring): Buffer {
  const header = Buffer.from(
    `${JSON.stringify({ id: keyring.id, server_name: keyring.serverName, serial: keyring.serial, next_chunk: keyring.nextChunk, last_erased: keyring.lastErased })}\n`,
  )
  const nodes = [...keyring.tree.cover()].map(({ depth, prefix, key }) => Buffer.concat([Buffer.from([depth]), prefix, key])) // prettier-ignore
  const body = Buffer.concat([magic, header, ...nodes])
  return Buffer.concat([body, sha256(body)])
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
  const header = JSON.parse(body.subarray(magic.length, headerEnd).toString()) as {
    id: string
    server_name: string
    serial: number
    next_chunk: number
    last_erased: number
  }
  return {
    id: header.id,
    serverName: header.server_name,
    serial: header.serial,
    nextChunk: header.next_chunk,
    lastErased: header.last_erased,
    tree: KeyTree.fromCover(coverOf(nodes)),
  }
}

function* coverOf(nodes: Buffer): Generator<CoverNode> {
  for (let at = 0; at < nodes.length; at += nodeBytes) {
    yield { depth: nodes[at] ?? 0, prefix: nodes.subarray(at + 1, at + 9), key: nodes.subarray(at + 9, at + nodeBytes) }
  }
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** What is to be destroyed for good. */
export interface Destruction {
  readonly places: readonly KeyPlace[]
  /** All buckets up to and including this one; `null`: none. */
  readonly throughBucket: number | null
}

/** The keyring without these keys. Changes the tree that it was given. */
export function withoutKeys(keyring: Keyring, { places, throughBucket }: Destruction): Keyring {
  if (throughBucket !== null) keyring.tree.destroyThrough(throughBucket)
  for (const place of places) keyring.tree.destroy(place)
  const erased = places.filter(({ bucket }) => bucket === accountBucket).map(({ leaf }) => leaf)
  return { ...keyring, lastErased: Math.max(keyring.lastErased, ...erased) }
}
