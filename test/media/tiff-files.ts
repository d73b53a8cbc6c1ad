import { randomBytes } from 'node:crypto'

export const mark = 'secret-mark'

type Value = number | string | Buffer | readonly number[] | Directory
/** Tags with what they say: numbers as LONG, texts, bytes, directories below. */
export interface Directory {
  readonly [tag: number]: Value
}

/** A TIFF file written by hand, its directories in front of what they point to or behind it. */
export class Writer {
  readonly #isLittle: boolean
  #bytes = Buffer.alloc(0)

  constructor(isLittle: boolean) {
    this.#isLittle = isLittle
  }

  #number(value: number, size: 2 | 4): Buffer {
    const bytes = Buffer.alloc(size)
    if (this.#isLittle) bytes.writeUIntLE(value, 0, size)
    else bytes.writeUIntBE(value, 0, size)
    return bytes
  }

  /** Appends bytes; returns where they lie. */
  put(bytes: Buffer): number {
    const at = this.#bytes.length
    this.#bytes = Buffer.concat([this.#bytes, bytes, Buffer.alloc(bytes.length % 2)])
    return at
  }

  /** Puts a directory behind what it points to; returns where it lies. */
  directory(entries: Directory, next = 0): number {
    const written = Object.entries(entries).map(([tag, value]) => {
      const [type, count, data] = this.#value(value)
      const place = data.length <= 4 ? Buffer.concat([data, Buffer.alloc(4 - data.length)]) : this.#number(this.put(data), 4)
      return Buffer.concat([this.#number(Number(tag), 2), this.#number(type, 2), this.#number(count, 4), place])
    }) // prettier-ignore
    return this.put(Buffer.concat([this.#number(written.length, 2), ...written, this.#number(next, 4)]))
  }

  #value(value: Value): [type: number, count: number, data: Buffer] {
    if (typeof value === 'number') return [4, 1, this.#number(value, 4)]
    if (typeof value === 'string') return [2, value.length + 1, Buffer.from(`${value}\0`)]
    if (Buffer.isBuffer(value)) return [1, value.length, value]
    if (Array.isArray(value)) return [4, value.length, Buffer.concat((value as number[]).map(each => this.#number(each, 4)))] // prettier-ignore
    return [4, 1, this.#number(this.directory(value as Directory), 4)]
  }

  /** The file, whose first directory lies there. */
  file(first: number): Buffer {
    this.#number(first, 4).copy(this.#bytes, 4)
    return this.#bytes
  }

  /** Puts the head, before all else. */
  head(): void {
    this.put(Buffer.concat([Buffer.from(this.#isLittle ? 'II' : 'MM'), this.#number(42, 2), Buffer.alloc(4)]))
  }
}

export const gps: Directory = { 1: 'N', 2: [52, 1, 31, 1, 0, 1], 29: `${mark} on a day` }
export const exif: Directory = {
  36867: `${mark} on a day`,
  37500: Buffer.from(`maker's ${mark}`),
  42033: `serial ${mark}`,
}
/** All that cameras and programs write beside a picture. */
export const described: Directory = {
  269: mark, 270: mark, 271: mark, 272: mark, 305: mark, 306: mark, 315: mark, 700: Buffer.from(mark), 33723: Buffer.from(mark),
  34377: Buffer.from(mark), 34665: exif, 34853: gps, 50000: mark,
} // prettier-ignore

/** A picture of two strips, with a small one of it behind, and with all that a camera would say. */
export function camera(
  isLittle: boolean,
  more: Directory = described,
  own: Directory = {},
): { file: Buffer; shown: Buffer } {
  const writer = new Writer(isLittle)
  writer.head()
  const shown = randomBytes(64 * 48)
  writer.put(Buffer.from(`in front ${mark}`))
  const strips = [writer.put(shown.subarray(0, 64 * 40)), writer.put(shown.subarray(64 * 40))]
  writer.put(Buffer.from(`in between ${mark}`))
  const picture = (width: number, height: number, offsets: number[], lengths: number[]): Directory => ({
    256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: offsets, 274: 6, 277: 1, 278: 40, 279: lengths,
  }) // prettier-ignore
  const small = writer.put(Buffer.from(`${mark} ${mark} ${mark} ${mark}`.padEnd(64)))
  const thumbnail = writer.directory({ 254: 1, ...picture(8, 8, [small], [64]) })
  const first = writer.directory({ ...picture(64, 48, strips, [64 * 40, 64 * 8]), ...own, ...more }, thumbnail)
  writer.put(Buffer.from(`behind ${mark}`))
  return { file: writer.file(first), shown }
}
