import { setImmediate } from 'node:timers/promises'
import { limitExceeded, tooLarge } from '../../errors.ts'
import { type ByteReader } from './byte-reader.ts'

/** A TIFF file tells in any order where what lies, so it is taken into memory whole: longer ones are refused. */
const longestBytes = 64 * 1024 * 1024
/** How much all that are on their way may take together, and when whoever is too much should come again. */
const heldLimitBytes = 64 * 1024 * 1024
const retryMs = 10_000
/** More entries, directories, and strips with their lengths than scanners write: what comes after so many is not kept. */
const mostEntries = 50_000
const mostDirectories = 5_000
const mostStrips = 200_000
const pieceBytes = 65_536
/** After so much work others have their turn: so many bytes, each part counted as some more. */
const turnBytes = 2 * 1024 * 1024
const partBytes = 1_024

/** How much memory the files take that are being looked at. */
export class HeldMemory {
  bytes = 0
}

/** Whether a file is of this family, by its first bytes: TIFF and BigTIFF, in either order of bytes. */
export function isTiff(head: Buffer): boolean {
  return ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(head.toString('latin1', 0, 4))
}

/**
 * A TIFF file (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf) of which only the pictures are left, with what
 * says how they look: everything else, Exif and GPS directories, texts, thumbnails and what nothing points to, is overwritten
 * with zeros. Places in it are told by counting bytes, so nothing is moved. Raw files of cameras cannot be read without what
 * their makers wrote into them: they lose where they were taken, and texts. What cannot be made sense of is passed as it is if
 * it `mayBeOther`; else nothing but its first bytes is kept.
 */
export async function* stripTiff(reader: ByteReader, held: HeldMemory, mayBeOther: boolean): AsyncGenerator<Buffer> {
  const memory = new Memory(held)
  try {
    for await (const piece of reader.pass(Infinity)) memory.add(piece)
    const file = memory.taken()
    const stripped = (await new Tiff(file).stripped()) ?? (mayBeOther ? file : file.subarray(0, firstBytes))
    for (let at = 0; at < stripped.length; at += pieceBytes) yield stripped.subarray(at, at + pieceBytes)
  } finally {
    memory.release()
  }
}

/** A file on its way into memory, however small the pieces are that it comes in. */
class Memory {
  readonly #held: HeldMemory
  #buffer: Buffer = Buffer.alloc(0)
  #bytes = 0

  constructor(held: HeldMemory) {
    this.#held = held
  }

  /** Throws M_TOO_LARGE, or M_LIMIT_EXCEEDED while others take the memory there is. */
  add(piece: Buffer): void {
    const bytes = this.#bytes + piece.length
    if (bytes > longestBytes) throw tooLarge('A TIFF file may not be so large')
    if (bytes > this.#buffer.length) {
      const size = Math.min(Math.max(bytes, 2 * this.#buffer.length, pieceBytes), longestBytes)
      const more = size - this.#buffer.length
      if (this.#held.bytes + more > heldLimitBytes) throw limitExceeded(retryMs)
      const larger = Buffer.allocUnsafe(size)
      this.#buffer.copy(larger, 0, 0, this.#bytes)
      this.#buffer = larger
      this.#held.bytes += more
    }
    piece.copy(this.#buffer, this.#bytes)
    this.#bytes = bytes
  }

  taken(): Buffer {
    return this.#buffer.subarray(0, this.#bytes)
  }

  release(): void {
    this.#held.bytes -= this.#buffer.length
    this.#buffer = Buffer.alloc(0)
    this.#bytes = 0
  }
}

/** What a file begins with, whatever follows. */
const firstBytes = 8

const tags = {
  subfileType: 254, imageWidth: 256, compression: 259, photometric: 262, stripOffsets: 273, stripBytes: 279,
  tileOffsets: 324, tileBytes: 325, subDirectories: 330, exif: 34665, gps: 34853, dngVersion: 50706,
} as const // prettier-ignore

/** Where the parts of a picture lie, and how long they are. */
const partTags = [
  [tags.stripOffsets, tags.stripBytes],
  [tags.tileOffsets, tags.tileBytes],
] as const

/** What the picture is made of and how it looks: sizes, colours, how it is packed, orientation, colour profile. */
const keptTags: ReadonlySet<number> = new Set([
  254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 292,
  293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 326, 327, 328, 332, 334, 336, 338, 339, 340, 341, 342,
  347, 529, 530, 531, 532, 559, 34675,
]) // prettier-ignore
/** Of a file that is kept otherwise as it is: names of documents and pages, descriptions, programs, times, people, machines,
 *  XMP, IPTC, Photoshop's, places. */
const describingTags: ReadonlySet<number> = new Set([
  269, 270, 285, 305, 306, 315, 316, 700, 33432, 33550, 33723, 33922, 34377, 34735, 34736, 34737, tags.gps,
]) // prettier-ignore
/** …and of one that is no raw file of a camera: maker, model, Exif. */
const camerasTags: ReadonlySet<number> = new Set([271, 272, tags.exif])

/** Bytes of a value by its type; the types of BigTIFF from 16 on. */
const typeBytes: Readonly<Record<number, number>> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8 } // prettier-ignore
/** Those of them that are whole numbers. */
const numberTypes: ReadonlySet<number> = new Set([1, 3, 4, 13, 16, 18])

const oldJpeg = 6
const rawPhotometrics: ReadonlySet<number> = new Set([32803, 34892])
/** A picture in small, of another one in the file. */
const reducedFlag = 1

interface Entry {
  readonly tag: number
  readonly type: number
  readonly count: number
  /** Where the entry itself lies. */
  readonly at: number
  /** Where its values lie, in it or elsewhere in the file. */
  readonly start: number
  readonly end: number
  readonly isInside: boolean
}

interface Directory {
  readonly at: number
  readonly entries: readonly Entry[]
  /** The first entry of each tag. */
  readonly byTag: ReadonlyMap<number, Entry>
  /** Where the next one lies; 0: nowhere. */
  readonly next: number
}

const keptOf = ({ entries }: Directory): Entry[] => entries.filter(({ tag }) => keptTags.has(tag))

/** Whether it is said how long the parts of the picture are: else nobody knows where it ends. */
function hasLengths({ byTag }: Directory): boolean {
  return partTags.some(([offsets, lengths]) => byTag.has(offsets) && byTag.has(lengths))
}

class Tiff {
  readonly #file: Buffer
  readonly #isLittle: boolean
  readonly #isBig: boolean
  /** Of numbers of entries, of an entry, of a place in the file. */
  readonly #sizes: { readonly count: number; readonly entry: number; readonly offset: number }
  #entriesLeft = mostEntries
  #directoriesLeft = mostDirectories
  /** How many bytes may still be copied or blanked: parts of honest files do not lie over each other. */
  #workLeft: number
  #turnLeft = turnBytes
  #stripsLeft = mostStrips

  constructor(file: Buffer) {
    this.#file = file
    this.#isLittle = file[0] === 0x49
    this.#isBig = (this.#isLittle ? file[2] : file[3]) === 0x2b
    this.#sizes = this.#isBig ? { count: 8, entry: 20, offset: 8 } : { count: 2, entry: 12, offset: 4 }
    this.#workLeft = 2 * file.length
  }

  /** The file without what describes it; `null`, and the file is as it was, if it cannot be made sense of. */
  async stripped(): Promise<Buffer | null> {
    const pages = this.#chain(this.#number(this.#isBig ? 8 : 4, this.#sizes.offset))
    const [first] = pages
    if (!first?.byTag.has(tags.imageWidth)) return null
    const below = pages.flatMap(page => this.#below(page, tags.subDirectories))
    const all = [...pages, ...below]
    const isRaw = this.#file.toString('latin1', 8, 10) === 'CR' || all.some(each => this.#isRaw(each))
    if (isRaw) return this.#withoutDescriptions(all, describingTags)
    const isUnusual = all.some(each => this.#first(each, tags.compression) === oldJpeg || !hasLengths(each))
    if (isUnusual) return this.#withoutDescriptions(all, new Set([...describingTags, ...camerasTags]))
    // Small pictures of others may show what was cut off since.
    const isSmall = (page: Directory) => ((this.#first(page, tags.subfileType) ?? 0) & reducedFlag) !== 0
    return this.#pictures(pages.filter((page, index) => index === 0 || !isSmall(page)))
  }

  /** A file of these directories and what they show, everything where it was. */
  async #pictures(pages: readonly Directory[]): Promise<Buffer> {
    const kept = Buffer.alloc(this.#file.length)
    let end = 0
    const copy = async (start: number, stop: number) => {
      if (stop > this.#file.length || start >= stop || !(await this.#mayWork(stop - start))) return
      this.#file.copy(kept, start, start, stop)
      end = Math.max(end, stop)
    }
    await copy(0, this.#isBig ? 2 * firstBytes : firstBytes)
    for (const page of pages) {
      for (const [offsets, lengths] of partTags) {
        const bytes = this.#values(page, lengths)
        for (const [part, start] of this.#values(page, offsets).entries()) await copy(start, start + (bytes[part] ?? 0))
      }
      for (const { start, end: stop, isInside } of keptOf(page)) if (!isInside) await copy(start, stop)
    }
    // At last: nothing that is copied may lie over a directory.
    for (const [index, page] of pages.entries()) {
      end = Math.max(end, this.#write(kept, page, keptOf(page), pages[index + 1]?.at ?? 0))
    }
    return kept.subarray(0, end)
  }

  /** The file without these tags and what they point to; no more than its beginning if they point too much about. */
  async #withoutDescriptions(directories: readonly Directory[], unwanted: ReadonlySet<number>): Promise<Buffer> {
    const file = this.#file
    const exifs = directories.flatMap(each => this.#below(each, tags.exif))
    const pointers = [tags.gps, tags.exif].filter(tag => unwanted.has(tag))
    const unwantedBelow = [...directories, ...exifs].flatMap(each => pointers.flatMap(tag => this.#below(each, tag)))
    const blanked = [...directories, ...exifs]
      .flatMap(({ entries }) => entries.filter(({ tag }) => unwanted.has(tag)))
      .concat(unwantedBelow.flatMap(({ entries }) => entries))
    const written = directories.map(directory => {
      const entries = directory.entries.filter(({ tag }) => !unwanted.has(tag))
      // As they are before anything is blanked.
      return { directory, entries, bytes: this.#bytesOf(entries) }
    })
    for (const { start, end } of [...blanked, ...unwantedBelow.map(each => this.#extent(each))]) {
      if (!(await this.#mayWork(end - start))) return file.subarray(0, firstBytes)
      file.fill(0, start, end)
    }
    for (const { directory, entries, bytes } of written) this.#write(file, directory, entries, directory.next, bytes)
    return file
  }

  /** Whether so many bytes may still be copied or blanked. Lets others have their turn now and then. */
  async #mayWork(bytes: number): Promise<boolean> {
    if (this.#workLeft < bytes) return false
    this.#workLeft -= bytes
    this.#turnLeft -= bytes + partBytes
    if (this.#turnLeft < 0) {
      this.#turnLeft = turnBytes
      await setImmediate()
    }
    return true
  }

  /** Where a directory lies, with its count and the place of the next. */
  #extent({ at, entries }: Directory): { readonly start: number; readonly end: number } {
    const { count, entry, offset } = this.#sizes
    return { start: at, end: at + count + entries.length * entry + offset }
  }

  #bytesOf(entries: readonly Entry[]): Buffer {
    return Buffer.concat(entries.map(({ at }) => this.#file.subarray(at, at + this.#sizes.entry)))
  }

  /** Writes a directory where it was, with some of its entries, of which the bytes may be known. Returns where it ends. */
  #write(
    target: Buffer,
    directory: Directory,
    entries: readonly Entry[],
    next: number,
    bytes = this.#bytesOf(entries),
  ): number {
    const { start, end } = this.#extent(directory)
    target.fill(0, start, end)
    this.#put(target, start, this.#sizes.count, entries.length)
    const after = start + this.#sizes.count + bytes.copy(target, start + this.#sizes.count)
    this.#put(target, after, this.#sizes.offset, next)
    return after + this.#sizes.offset
  }

  /** The directories that follow each other from a place on, each once. */
  #chain(start: number): Directory[] {
    const found = new Map<number, Directory>()
    for (let at = start; at !== 0 && !found.has(at);) {
      const directory = this.#directory(at)
      if (!directory) break
      found.set(at, directory)
      at = directory.next
    }
    return [...found.values()]
  }

  #directory(at: number): Directory | null {
    const { count: countBytes, entry: entryBytes, offset: offsetBytes } = this.#sizes
    if (at < 8 || at + countBytes > this.#file.length || --this.#directoriesLeft < 0) return null
    const count = this.#number(at, countBytes)
    const end = at + countBytes + count * entryBytes
    if (count === 0 || end + offsetBytes > this.#file.length) return null
    this.#entriesLeft -= count
    if (this.#entriesLeft < 0) return null
    const entries: Entry[] = []
    const byTag = new Map<number, Entry>()
    for (let place = at + countBytes; place < end; place += entryBytes) {
      const entry = this.#entry(place)
      entries.push(entry)
      if (!byTag.has(entry.tag)) byTag.set(entry.tag, entry)
    }
    return { at, entries, byTag, next: this.#number(end, offsetBytes) }
  }

  #entry(at: number): Entry {
    const { offset: offsetBytes } = this.#sizes
    const [tag, type] = [this.#number(at, 2), this.#number(at + 2, 2)]
    const count = this.#number(at + 4, offsetBytes)
    const bytes = (typeBytes[type] ?? 1) * count
    const place = at + 4 + offsetBytes
    if (bytes <= offsetBytes) return { tag, type, count, at, start: place, end: place + bytes, isInside: true }
    const start = this.#number(place, offsetBytes)
    // Values that are not in the file are none.
    if (start + bytes > this.#file.length) return { tag, type, count: 0, at, start: place, end: place, isInside: true }
    return { tag, type, count, at, start, end: start + bytes, isInside: false }
  }

  /** The directories that a tag points to, without those that follow them. */
  #below(directory: Directory, tag: number): Directory[] {
    return this.#values(directory, tag).flatMap(at => this.#directory(at) ?? [])
  }

  /** The numbers of a tag; none where it is missing, or says something else. */
  #values({ byTag }: Directory, tag: number): number[] {
    const entry = byTag.get(tag)
    if (!entry || !numberTypes.has(entry.type)) return []
    this.#stripsLeft -= entry.count
    if (this.#stripsLeft < 0) return []
    const size = typeBytes[entry.type] ?? 1
    return Array.from({ length: entry.count }, (_, index) => this.#number(entry.start + index * size, size))
  }

  /** The first of them; `null` where there is none. */
  #first({ byTag }: Directory, tag: number): number | null {
    const entry = byTag.get(tag)
    if (!entry || entry.count === 0 || !numberTypes.has(entry.type)) return null
    return this.#number(entry.start, typeBytes[entry.type] ?? 1)
  }

  #isRaw(directory: Directory): boolean {
    return directory.byTag.has(tags.dngVersion) || rawPhotometrics.has(this.#first(directory, tags.photometric) ?? 0)
  }

  /** A whole number of 1, 2, 4 or 8 bytes; 0 beyond the end. */
  #number(at: number, bytes: number): number {
    if (at + bytes > this.#file.length) return 0
    if (bytes === 8) return Number(this.#isLittle ? this.#file.readBigUInt64LE(at) : this.#file.readBigUInt64BE(at))
    return this.#isLittle ? this.#file.readUIntLE(at, bytes) : this.#file.readUIntBE(at, bytes)
  }

  #put(target: Buffer, at: number, bytes: number, value: number): void {
    if (bytes === 8) {
      if (this.#isLittle) target.writeBigUInt64LE(BigInt(value), at)
      else target.writeBigUInt64BE(BigInt(value), at)
    } else if (this.#isLittle) target.writeUIntLE(value, at, bytes)
    else target.writeUIntBE(value, at, bytes)
  }
}
