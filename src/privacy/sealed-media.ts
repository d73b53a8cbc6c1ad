import { createCipheriv, createDecipheriv } from 'node:crypto'
import { Readable } from 'node:stream'
import { tooLarge } from '../errors.ts'
import { type MediaStore } from '../storage/media-store.ts'
import { kept, placeOf, sealBytes, type Sealer, sealOf } from './seal.ts'

/** A file is sealed in pieces of this size, so that it can be read before it is whole in memory. */
const pieceBytes = 65_536
const tagBytes = 16

/**
 * A media store whose files are sealed, each under a key of its own: a header that says where the key stands, then pieces of
 * 64 KiB with their tags. The number of a piece, and whether it is the last, are its initialisation vector: a key seals one
 * file once, and pieces can be neither left out nor exchanged. Files from before sealing are read as they are.
 */
export function createSealedStore(inner: MediaStore, sealer: Sealer): MediaStore {
  return {
    async write(name, stream, limitBytes) {
      if (!sealer.isOn) return inner.write(name, stream, limitBytes)
      const place = sealer.placeFor(kept, 'media')
      const key = sealer.keyAt(place)
      if (!key) throw new Error('The key to seal with has been destroyed')
      let sizeBytes = 0
      const counted = (bytes: number) => {
        sizeBytes += bytes
        if (sizeBytes > limitBytes) throw tooLarge('The file is too large')
      }
      // Whoever sends it is to get an answer, so the stream is not destroyed when we stop early.
      const source = stream.iterator({ destroyOnReturn: false })
      const sealed = Readable.from(sealedPieces(source, sealOf(place), key, name, counted))
      const { sha256 } = await inner.write(name, sealed, Infinity)
      return { sizeBytes, sha256 }
    },
    async read(name) {
      const file = await inner.read(name)
      if (!file) return null
      const pieces = new Pieces(file.stream)
      const header = await pieces.take(sealBytes)
      const place = placeOf(header)
      if (!place) {
        return { stream: closing(file.stream, rest(header, pieces)), sizeBytes: file.sizeBytes }
      }
      const key = sealer.keyAt(place)
      if (!key) {
        file.stream.destroy()
        return null
      }
      const sealedBytes = file.sizeBytes - sealBytes
      const count = Math.max(Math.ceil(sealedBytes / (pieceBytes + tagBytes)), 1)
      return {
        stream: closing(file.stream, openedPieces(pieces, header, key, name, count)),
        sizeBytes: sealedBytes - count * tagBytes,
      }
    },
    remove: name => inner.remove(name),
    sealOf: name => sealOfFile(inner, name),
  }
}

/** Where the key of a file of the store under it stands; `null` if there is no such file, or it is not sealed. */
export async function sealOfFile(inner: MediaStore, name: string): Promise<Buffer | null> {
  const file = await inner.read(name)
  if (!file) return null
  const pieces = new Pieces(file.stream)
  const header = await pieces.take(sealBytes)
  file.stream.destroy()
  return placeOf(header) && header
}

/** A stream of what is made of a file's bytes. The file is closed with it, however much of it was read. */
function closing(file: Readable, made: AsyncIterable<Buffer>): Readable {
  return Readable.from(made).once('close', () => file.destroy())
}

async function* sealedPieces(
  source: AsyncIterable<unknown>,
  header: Buffer,
  key: Buffer,
  name: string,
  counted: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  yield header
  const waiting = new Pieces(source, counted)
  let piece = await waiting.take(pieceBytes)
  for (let number = 0; ; number++) {
    const next = piece.length < pieceBytes ? Buffer.alloc(0) : await waiting.take(pieceBytes)
    const isLast = next.length === 0
    const cipher = createCipheriv('aes-256-gcm', key, vectorOf(number, isLast))
    cipher.setAAD(associated(header, name))
    yield Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()])
    if (isLast) return
    piece = next
  }
}

async function* openedPieces(
  pieces: Pieces,
  header: Buffer,
  key: Buffer,
  name: string,
  count: number,
): AsyncGenerator<Buffer> {
  for (let number = 0; number < count; number++) {
    const piece = await pieces.take(pieceBytes + tagBytes)
    const decipher = createDecipheriv('aes-256-gcm', key, vectorOf(number, number === count - 1))
    decipher.setAAD(associated(header, name))
    decipher.setAuthTag(piece.subarray(-tagBytes))
    const opened = decipher.update(piece.subarray(0, -tagBytes))
    // Throws for a piece that is not what was sealed: the download breaks off.
    decipher.final()
    yield opened
  }
}

async function* rest(first: Buffer, pieces: Pieces): AsyncGenerator<Buffer> {
  yield first
  for (;;) {
    const piece = await pieces.take(pieceBytes)
    if (piece.length === 0) return
    yield piece
  }
}

function vectorOf(number: number, isLast: boolean): Buffer {
  const vector = Buffer.alloc(12)
  vector.writeUInt32BE(number, 0)
  vector[11] = isLast ? 1 : 0
  return vector
}

function associated(header: Buffer, name: string): Buffer {
  return Buffer.concat([header, Buffer.from(name)])
}

/** Bytes of a stream, taken in pieces of the sizes that are wanted. */
class Pieces {
  readonly #source: AsyncIterator<unknown>
  readonly #counted: (bytes: number) => void
  #waiting: Buffer[] = []
  #bytes = 0

  constructor(source: AsyncIterable<unknown>, counted: (bytes: number) => void = () => undefined) {
    this.#source = source[Symbol.asyncIterator]()
    this.#counted = counted
  }

  /** The next `size` bytes; fewer only at the end. */
  async take(size: number): Promise<Buffer> {
    while (this.#bytes < size) {
      const { done, value } = await this.#source.next()
      if (done) break
      // A byte stream gives bytes.
      const chunk = Buffer.from(value as Uint8Array)
      this.#counted(chunk.length)
      this.#waiting.push(chunk)
      this.#bytes += chunk.length
    }
    const all = Buffer.concat(this.#waiting)
    const taken = all.subarray(0, size)
    this.#waiting = [all.subarray(size)]
    this.#bytes = all.length - taken.length
    return taken
  }
}
