import { type KeyPlace } from '../privacy/keyring/key-tree.ts'
import { keptBucket } from '../privacy/seal.ts'

/** The bucket that a row notes with a sealed value: the hour in which its key dies; `null` if that has no end of its own. */
export function endingBucket({ bucket }: Pick<KeyPlace, 'bucket'>): number | null {
  return bucket === keptBucket ? null : bucket
}

/** Where a value lies in the bytes that are sent with others: `start` counts from 1, as Postgres's `substring` does. */
export interface Slice {
  readonly start: number
  readonly bytes: number
}

/** Many values as one parameter: an array of bytes would be sent as text, at twice the size. */
export class Slices {
  readonly #parts: Buffer[] = []
  #next = 1

  add(value: Buffer): Slice {
    const slice = { start: this.#next, bytes: value.length }
    this.#parts.push(value)
    this.#next += value.length
    return slice
  }

  joined(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
