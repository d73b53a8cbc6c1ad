import { type Readable } from 'node:stream'
import { tooLarge } from '../../errors.ts'

const nothing: Buffer = Buffer.alloc(0)

/** Reads a byte stream piece by piece, as a parser wants it. The stream is never destroyed: it may be a request. */
export class ByteReader {
  readonly #source: AsyncIterator<unknown>
  readonly #limitBytes: number
  #readBytes = 0
  #buffer = nothing
  #hasEnded = false

  /** Whoever reads more than `limitBytes` is told M_TOO_LARGE. */
  constructor(stream: Readable, limitBytes: number) {
    this.#source = stream.iterator({ destroyOnReturn: false })
    this.#limitBytes = limitBytes
  }

  async #fill(): Promise<boolean> {
    if (this.#hasEnded) return false
    const next = await this.#source.next()
    if (next.done === true) {
      this.#hasEnded = true
      return false
    }
    const chunk = next.value as Buffer // A byte stream gives bytes.
    this.#readBytes += chunk.length
    if (this.#readBytes > this.#limitBytes) throw tooLarge('The file is too large')
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    return true
  }

  /** The next `count` bytes without taking them; fewer where the stream ends. For small counts. */
  async peek(count: number): Promise<Buffer> {
    while (this.#buffer.length < count && (await this.#fill())) continue
    return this.#buffer.subarray(0, count)
  }

  /** Takes exactly `count` bytes; `null`, and nothing is taken, where the stream ends before. For small counts. */
  async take(count: number): Promise<Buffer | null> {
    const bytes = await this.peek(count)
    if (bytes.length < count) return null
    this.consume(count)
    return bytes
  }

  /** What is at hand, at least one byte, without taking it; `null` at the end. */
  async chunk(): Promise<Buffer | null> {
    while (this.#buffer.length === 0) if (!(await this.#fill())) return null
    return this.#buffer
  }

  /** Takes bytes that have been seen. */
  consume(count: number): void {
    this.#buffer = this.#buffer.subarray(count)
  }

  /** Takes the next `count` bytes, or as many as there are, in pieces. */
  async *pass(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0;) {
      const chunk = await this.chunk()
      if (chunk === null) return
      const piece = chunk.subarray(0, left)
      this.consume(piece.length)
      left -= piece.length
      yield piece
    }
  }

  /** Lets the next `count` bytes go, or as many as there are. Returns how many. */
  async skip(count: number): Promise<number> {
    let skipped = 0
    for await (const piece of this.pass(count)) skipped += piece.length
    return skipped
  }
}
