import { type ByteReader } from './byte-reader.ts'

/** Boxes that hold others, on the way to what is looked for, by the one that they are in: `''` for the file. */
const containers: Readonly<Record<string, string>> = { '': 'moov', moov: 'trak', trak: 'mdia' }
/** Boxes that say things beside the picture: places, devices, titles, comments. */
const describing: ReadonlySet<string> = new Set(['udta', 'meta', 'meco', '©xyz', 'loci'])
/** Boxes that begin with when the thing was made, and when it was last changed. */
const dated: ReadonlySet<string> = new Set(['mvhd', 'tkhd', 'mdhd'])
/** The box of XMP. */
const xmpUuid = 'be7acfcb97a942e89c71999491e3afac'
/** Items of a picture that are not shown: Exif, XMP and other text, links. */
const describingItems: ReadonlySet<string> = new Set(['Exif', 'mime', 'uri '])
/** The longest list of items that is looked at; cameras write some kilobytes. */
const longestMeta = 1024 * 1024
/** More parts than a camera writes: whoever sends that many gets everything from the first of them on blanked. */
const mostParts = 100
/** More places than any list has: whoever sends that many gets everything blanked. */
const mostPlaces = 20_000
const zeros = Buffer.alloc(65_536)

/** A part of the file, from its first byte. */
interface Range {
  readonly start: number
  readonly end: number
}

/** Whether a file is of this family: HEIC, AVIF, MP4, QuickTime. */
export function isIsoMedia(head: Buffer): boolean {
  return head.toString('latin1', 4, 8) === 'ftyp'
}

/**
 * A file of boxes (ISO/IEC 14496-12; pictures: 23008-12) in which what describes it is overwritten with zeros: places in it are
 * told by counting bytes, so nothing is taken out. The orientation of these formats is not in their Exif block, and stays. A
 * picture whose items lie in front of the list of them keeps them; no camera writes that.
 */
export async function* stripIsoMedia(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* boxes(new Position(reader), Infinity, '')
}

/** Parts of a file. If there are more than anybody needs they become one, from the first of them to the end. */
class Parts {
  list: Range[] = []

  add(range: Range): void {
    this.list.push(range)
    if (this.list.length <= mostParts) return
    this.list = [{ start: Math.min(...this.list.map(({ start }) => start)), end: Infinity }]
  }
}

/** Passes bytes, counts them, and blanks those that are known to be blanked. */
class Position {
  readonly reader: ByteReader
  at = 0
  readonly blanked = new Parts()

  constructor(reader: ByteReader) {
    this.reader = reader
  }

  async take(count: number): Promise<Buffer | null> {
    const bytes = await this.reader.take(count)
    if (bytes) this.at += count
    return bytes
  }

  async *pass(count: number): AsyncGenerator<Buffer> {
    for await (const piece of this.reader.pass(count)) {
      const start = this.at
      this.at += piece.length
      const touched = this.blanked.list.filter(range => range.start < this.at && range.end > start)
      if (touched.length === 0) yield piece
      else {
        const copy = Buffer.from(piece)
        for (const range of touched)
          copy.fill(0, Math.max(range.start - start, 0), Math.min(range.end - start, copy.length))
        yield copy
      }
    }
  }

  async *blank(count: number): AsyncGenerator<Buffer> {
    for await (const { length } of this.reader.pass(count)) {
      this.at += length
      for (let left = length; left > 0; left -= zeros.length) yield zeros.subarray(0, left)
    }
  }
}

async function* boxes(position: Position, end: number, parent: string): AsyncGenerator<Buffer> {
  while (position.at + 8 <= end) {
    const start = position.at
    const head = await position.take(8)
    if (head === null) return yield* position.pass(Infinity)
    const name = head.toString('latin1', 4)
    const long = head.readUInt32BE(0) === 1 ? await position.take(8) : null
    const size = long ? Number(long.readBigUInt64BE()) : head.readUInt32BE(0)
    // Without a size a box goes on to the end of what it is in.
    const boxEnd = Math.min(size === 0 ? Infinity : start + Math.max(size, position.at - start), end)
    const left = boxEnd - position.at
    const isText = name === 'uuid' && (await position.reader.peek(16)).toString('hex') === xmpUuid
    const whole = Buffer.concat(long ? [head, long] : [head])
    if (isText || (describing.has(name) && !(name === 'meta' && parent === ''))) {
      whole.write('free', 4, 'latin1')
      yield whole
      yield* position.blank(left)
    } else if (name === 'meta' && left <= longestMeta) {
      yield whole
      yield* itemList(position, left)
    } else if (containers[parent] === name) {
      yield whole
      yield* boxes(position, boxEnd, name)
    } else if (dated.has(name) && left >= 20) {
      yield whole
      yield* undated(position)
      yield* position.pass(boxEnd - position.at)
    } else {
      yield whole
      yield* position.pass(left)
    }
  }
  yield* position.pass(end - position.at)
}

/** Version and flags, then two times: of 4 bytes each, or 8 in version 1. */
async function* undated(position: Position): AsyncGenerator<Buffer> {
  const version = (await position.reader.peek(1))[0]
  yield* position.pass(4)
  yield* position.blank(version === 1 ? 16 : 8)
}

/** The list of a picture's items: those that describe it are blanked, here or where they come later in the file. */
async function* itemList(position: Position, length: number): AsyncGenerator<Buffer> {
  const taken = await position.take(length)
  if (taken === null) return yield* position.pass(length)
  const content = Buffer.from(taken)
  const children = childrenOf(content, 4)
  const infos = children.get('iinf')
  const places = children.get('iloc')
  const inside = children.get('idat')
  if (infos && places) {
    const hidden = describingItemsIn(content, infos)
    const hiddenInside = new Parts()
    for (const { isInside, start, end } of placesIn(content, places, hidden)) {
      if (!isInside) position.blanked.add({ start, end })
      else if (inside) hiddenInside.add({ start: inside.start + start, end: Math.min(inside.start + end, inside.end) })
    }
    for (const { start, end } of hiddenInside.list)
      content.fill(0, Math.min(start, inside?.end ?? 0), Math.min(end, inside?.end ?? 0))
  }
  yield content
}

/** Where the contents of the boxes lie that follow from `start` on, by name. */
function childrenOf(bytes: Buffer, start: number, end = bytes.length): Map<string, Range> {
  const found = new Map<string, Range>()
  for (let at = start; at + 8 <= end;) {
    const size = bytes.readUInt32BE(at)
    const boxEnd = size === 0 ? end : at + size
    if ((size !== 0 && size < 8) || boxEnd > end) break
    found.set(bytes.toString('latin1', at + 4, at + 8), { start: at + 8, end: boxEnd })
    at = boxEnd
  }
  return found
}

/** Reads numbers one after another; zeros beyond the end, and for sizes that the format does not have. */
class Fields {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  next(size: number): number {
    const { at } = this
    this.at += size
    if (at + size > this.#bytes.length) return 0
    if (size === 8) return Number(this.#bytes.readBigUInt64BE(at))
    return size === 1 || size === 2 || size === 4 ? this.#bytes.readUIntBE(at, size) : 0
  }
}

/** The numbers of the items that describe the picture. */
function describingItemsIn(bytes: Buffer, { start, end }: Range): Set<number> {
  const fields = new Fields(bytes, start)
  const version = fields.next(1)
  fields.next(3)
  fields.next(version === 0 ? 2 : 4)
  const items = new Set<number>()
  for (let { at } = fields; at + 8 <= end;) {
    const size = bytes.readUInt32BE(at)
    if (size < 8 || at + size > end) break
    const entry = new Fields(bytes, at + 8)
    const entryVersion = entry.next(1)
    entry.next(3)
    const item = entry.next(entryVersion === 3 ? 4 : 2)
    entry.next(2)
    if (describingItems.has(bytes.toString('latin1', entry.at, entry.at + 4))) items.add(item)
    at += size
  }
  return items
}

/** Where the items that are to be hidden lie: in the file, or inside the list itself. */
function* placesIn(
  bytes: Buffer,
  { start, end }: Range,
  hidden: ReadonlySet<number>,
): Generator<Range & { readonly isInside: boolean }> {
  const fields = new Fields(bytes, start)
  const version = fields.next(1)
  fields.next(3)
  const sizes = fields.next(2)
  const [offsetSize, lengthSize, baseSize] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15]
  const indexSize = version > 0 ? sizes & 15 : 0
  let seen = 0
  for (let count = fields.next(version < 2 ? 2 : 4); count > 0 && fields.at < end; count--) {
    const item = fields.next(version < 2 ? 2 : 4)
    const isInside = version > 0 && (fields.next(2) & 15) === 1
    fields.next(2)
    const base = fields.next(baseSize)
    // Parts that take no bytes to tell of are all the same one.
    const most = indexSize + offsetSize + lengthSize === 0 ? 1 : Infinity
    for (let extents = Math.min(fields.next(2), most); extents > 0 && fields.at < end; extents--) {
      if (++seen > mostPlaces) {
        for (const isInside of [false, true]) yield { isInside, start: 0, end: Infinity }
        return
      }
      fields.next(indexSize)
      const from = base + fields.next(offsetSize)
      const length = fields.next(lengthSize)
      // Without a length it goes on to the end of the file.
      if (hidden.has(item)) yield { isInside, start: from, end: length === 0 ? Infinity : from + length }
    }
  }
}
