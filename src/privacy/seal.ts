import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import { type Random } from '../random.ts'
import {
  accountBucket, chunkSize, erasureBucket, firstOtherBucket, keptBucket, keyAt, type LivingKeys, type SealPlace,
} from './keyring/keyring.ts' // prettier-ignore
import { pack, unpack } from './packing.ts'

export { keptBucket } from './keyring/keyring.ts'

const hourMs = 3_600_000
const weekHours = 7 * 24

/** How a value is kept: `plain` when sealing is switched off, or from before there was any. */
export const forms = { plain: 0, sealed: 1 } as const

/** The beginning of a sealed value: its form, the generation of the keyring, bucket and leaf; where each begins. SQL reads it too. */
export const sealLayout = { form: 0, generation: 1, bucket: 2, leaf: 5 } as const
export const sealBytes = 10
const ivBytes = 12
const tagBytes = 16

/** How long what is sealed is to be readable. */
export type Lifespan =
  /** Until its key is destroyed. */
  | { readonly kind: 'kept' }
  /** Until a time, in milliseconds since the epoch, which comes `lifetimeMs` after the beginning. */
  | { readonly kind: 'until'; readonly expiresTs: number; readonly lifetimeMs: number }
  /** For so long from now. */
  | { readonly kind: 'for'; readonly lifetimeMs: number }

export const kept: Lifespan = { kind: 'kept' }

/** Seals what is stored and opens it again. Everything is bound to its place, so that no row can be passed off as another. */
export interface Sealer {
  /** A place for one value of a room, or of another thing that dies together; no place is given twice. */
  placeFor(lifespan: Lifespan, scope: string | number): SealPlace
  /** The place of what belongs to an account: all of it dies with one key. */
  accountPlace(userNumber: number): SealPlace
  /** The place that takes a place's place under the newest keys. */
  renewed(place: SealPlace): SealPlace
  /** A place whose key seals nothing: it is destroyed to tell that the account was erased, and not only closed. */
  erasurePlace(userNumber: number): SealPlace
  /** `name` says whose value it is: what was sealed under one name opens under no other. */
  seal(text: string, place: SealPlace, name: string): Buffer
  /** The text; `null` if its key has been destroyed, or it is not what was sealed under this name. */
  open(sealed: Buffer, name: string): string | null
  /** What was sealed, sealed under the newest keys; `null` if it need not or, its key being destroyed, cannot be. */
  resealed(sealed: Buffer, name: string): Buffer | 'damaged' | null
  /** Whether a seal is not of the newest keys. */
  isOutdated(seal: Buffer): boolean
  /** The key at a place, 32 bytes; `null` if it was destroyed. For what is sealed piece by piece. */
  keyAt(place: SealPlace): Buffer | null
  /** Whether new values are sealed. */
  readonly isOn: boolean
}

/** What a sealer needs of the keyring. */
export interface SealerOptions {
  /** The keys that are alive now. */
  readonly keys: () => LivingKeys
  /** A chunk that nobody was given. Throws when there is none at hand. */
  readonly takeChunk: () => number
  readonly now: () => number
  readonly random: Random
  /** False: new values are kept as they are; what was sealed before is opened all the same. */
  readonly isOn: boolean
}

/** How many scopes have a chunk open: the rooms that are talked in. A scope that comes back gets another. */
const openChunkLimit = 20_000

/**
 * The bucket in which something expires: the hours since the epoch until which its key lives. The buckets are as wide as an
 * eighth of the lifetime, an hour at least and a week at most, so a key outlives what it seals by no more than that.
 */
export function bucketOf(expiresTs: number, lifetimeMs: number): number {
  const hours = Math.min(Math.max(Math.floor(lifetimeMs / 8 / hourMs), 1), weekHours)
  // A time before the epoch has passed; one that no clock reaches is as good as never.
  const bucket = Math.ceil(Math.max(expiresTs, 0) / (hours * hourMs)) * hours
  return bucket < firstOtherBucket ? bucket : keptBucket
}

function bucketFor(lifespan: Lifespan, now: () => number): number {
  if (lifespan.kind === 'kept') return keptBucket
  const nowTs = now()
  const expiresTs = lifespan.kind === 'for' ? nowTs + lifespan.lifetimeMs : lifespan.expiresTs
  // What has expired already, a timer in the past for instance, is sealed until the sweeper comes: the keys of passed hours are gone.
  return Math.max(bucketOf(expiresTs, lifespan.lifetimeMs), passedBucket(nowTs) + 1)
}

/** The newest bucket all of whose time has passed. */
export function passedBucket(nowTs: number): number {
  return Math.floor(nowTs / hourMs)
}

export function createSealer({ keys, takeChunk, now, random, isOn }: SealerOptions): Sealer {
  const vectors = new Vectors(random)
  const chunks = new Map<string | number, { next: number; end: number }>()
  const nextLeaf = (scope: string | number): number => {
    let chunk = chunks.get(scope)
    if (!chunk) {
      if (chunks.size >= openChunkLimit) chunks.delete(chunks.keys().next().value ?? '')
      const first = takeChunk() * chunkSize
      chunks.set(scope, (chunk = { next: first, end: first + chunkSize }))
    }
    const leaf = chunk.next++
    if (chunk.next >= chunk.end) chunks.delete(scope)
    return leaf
  }
  const sealer: Sealer = {
    isOn,
    placeFor(lifespan, scope) {
      const { generation } = keys()
      if (!isOn) return { generation, bucket: keptBucket, leaf: 0 }
      return { generation, bucket: bucketFor(lifespan, now), leaf: nextLeaf(scope) }
    },
    accountPlace: userNumber => ({ generation: keys().generation, bucket: accountBucket, leaf: userNumber }),
    renewed: place => ({ ...place, generation: keys().generation }),
    erasurePlace: userNumber => ({ generation: keys().generation, bucket: erasureBucket, leaf: userNumber }),
    seal(text, place, name) {
      if (!isOn) return Buffer.concat([Buffer.of(forms.plain), Buffer.from(text)])
      const key = keyAt(keys(), place)
      // Only an account's key can have been destroyed before it was used: the account is being erased.
      if (!key) throw new Error('The key to seal with has been destroyed')
      const header = sealOf(place)
      const iv = vectors.next()
      // A key that is plain bytes is looked at from all sides first: that takes ten times as long as all the rest.
      const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), iv)
      cipher.setAAD(associated(header, name))
      const sealed = cipher.update(pack(text))
      cipher.final()
      return Buffer.concat([header, iv, sealed, cipher.getAuthTag()])
    },
    open(sealed, name) {
      if (sealed[sealLayout.form] === forms.plain) return sealed.toString('utf8', 1)
      const place = placeOf(sealed)
      const key = place && keyAt(keys(), place)
      if (!key || sealed.length < sealBytes + ivBytes + tagBytes) return null
      try {
        const iv = sealed.subarray(sealBytes, sealBytes + ivBytes)
        const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), iv)
        decipher.setAAD(associated(sealed.subarray(0, sealBytes), name))
        decipher.setAuthTag(sealed.subarray(-tagBytes))
        const packed = decipher.update(sealed.subarray(sealBytes + ivBytes, -tagBytes))
        decipher.final()
        return unpack(packed)
      } catch {
        // Not what was sealed here: whatever it is, it is not believed.
        return null
      }
    },
    resealed(sealed, name) {
      const place = placeOf(sealed)
      if (!place || place.generation === keys().generation || !keyAt(keys(), place)) return null
      const text = sealer.open(sealed, name)
      return text === null ? 'damaged' : sealer.seal(text, sealer.renewed(place), name)
    },
    isOutdated(seal) {
      const place = placeOf(seal)
      return place !== null && place.generation !== keys().generation
    },
    keyAt: place => keyAt(keys(), place),
  }
  return sealer
}

/** What a sealed value begins with: where its key stands. */
export function sealOf({ generation, bucket, leaf }: SealPlace): Buffer {
  const header = Buffer.alloc(sealBytes)
  header[sealLayout.form] = forms.sealed
  header[sealLayout.generation] = generation
  header.writeUIntBE(bucket, sealLayout.bucket, 3)
  header.writeUIntBE(leaf, sealLayout.leaf, 5)
  return header
}

/** Where the key of a sealed value stands; `null` for a value that is not sealed. */
export function placeOf(sealed: Buffer): SealPlace | null {
  if (sealed.length < sealBytes || sealed[sealLayout.form] !== forms.sealed) return null
  return {
    generation: sealed.readUInt8(sealLayout.generation),
    bucket: sealed.readUIntBE(sealLayout.bucket, 3),
    leaf: sealed.readUIntBE(sealLayout.leaf, 5),
  }
}

/** Initialisation vectors, drawn many at a time: each draw costs as much as sealing a short text. */
class Vectors {
  readonly #random: Random
  #drawn = Buffer.alloc(0)

  constructor(random: Random) {
    this.#random = random
  }

  next(): Buffer {
    if (this.#drawn.length < ivBytes) this.#drawn = Buffer.from(this.#random.bytes(ivBytes * 256))
    const vector = this.#drawn.subarray(0, ivBytes)
    this.#drawn = this.#drawn.subarray(ivBytes)
    return vector
  }
}

function associated(header: Buffer, name: string): Buffer {
  return Buffer.concat([header, Buffer.from(name)])
}
