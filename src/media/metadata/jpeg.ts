import { type ByteReader } from './byte-reader.ts'
import { exifOf, orientationIn } from './orientation.ts'

// Markers: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, table B.1
const startOfScan = 0xda
const endOfImage = 0xd9
/** Where a JFIF header says how large its thumbnail is, and where it ends without one; counted without the length. */
const jfifHeaderBytes = 14

/**
 * A JPEG file without what it says of itself: of the application segments only those that change how it looks are kept (the
 * size of its pixels, the colour profile, Adobe's colour transform, and the orientation in an Exif block of its own), of
 * what comes after the picture nothing. The picture is not encoded anew. A file that is not well-formed ends where it
 * stops being so.
 */
export async function* stripJpeg(reader: ByteReader): AsyncGenerator<Buffer> {
  const start = await reader.take(2)
  if (start === null) return
  yield start
  let isTurned = false
  for (;;) {
    const marker = await nextMarker(reader)
    if (marker === null) return
    if (marker === endOfImage) return yield Buffer.from([0xff, endOfImage])
    // Markers without a length have no business between segments.
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue
    const lengthBytes = await reader.take(2)
    const length = lengthBytes?.readUInt16BE() ?? 0
    const data = length < 2 ? null : await reader.take(length - 2)
    if (data === null) return
    if (isExif(marker, data)) {
      const orientation = orientationIn(data)
      if (orientation !== 1 && !isTurned)
        yield segment(marker, Buffer.concat([data.subarray(0, 6), exifOf(orientation)]))
      isTurned ||= orientation !== 1
      continue
    }
    const kept = keptData(marker, data)
    if (kept === null) continue
    yield segment(marker, kept)
    if (marker === startOfScan) yield* scan(reader)
  }
}

/** The next marker; bytes that belong to nothing are left out. `null` at the end. */
async function nextMarker(reader: ByteReader): Promise<number | null> {
  for (let isAfterFill = false; ;) {
    const byte = (await reader.take(1))?.[0]
    if (byte === undefined) return null
    if (byte !== 0xff && isAfterFill) return byte
    isAfterFill = byte === 0xff
  }
}

function isExif(marker: number, data: Buffer): boolean {
  return marker === 0xe1 && data.toString('latin1', 0, 6) === 'Exif\0\0'
}

/** What is kept of a segment; `null`: nothing. */
function keptData(marker: number, data: Buffer): Buffer | null {
  const begins = (text: string) => data.toString('latin1', 0, text.length) === text
  // Frames, tables, scans.
  if (marker >= 0xc0 && marker <= 0xdf) return data
  if (marker === 0xe0 && begins('JFIF\0') && data.length >= jfifHeaderBytes) {
    const header = Buffer.from(data.subarray(0, jfifHeaderBytes))
    // No thumbnail: it may show what was cut off or painted over since.
    header.fill(0, jfifHeaderBytes - 2)
    return header
  }
  if (marker === 0xe2 && begins('ICC_PROFILE\0')) return data
  if (marker === 0xee && begins('Adobe')) return data
  return null
}

function segment(marker: number, data: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(data.length + 2, 2)
  return Buffer.concat([head, data])
}

/** The compressed picture, up to the next marker that is not part of it. */
async function* scan(reader: ByteReader): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = await reader.chunk()
    if (chunk === null) return
    const end = endOfScan(chunk)
    const length = end ?? chunk.length
    if (length > 0) yield chunk.subarray(0, length)
    reader.consume(length)
    if (end === null) continue
    const next = await reader.peek(2)
    if (next.length < 2) return void reader.consume(next.length)
    if (endOfScan(next) === 0) return
  }
}

/** Where a marker begins that ends the scan, or a last byte that may begin one; `null` if there is none. */
function endOfScan(bytes: Buffer): number | null {
  for (let at = bytes.indexOf(0xff); at !== -1;) {
    const next = bytes[at + 1]
    if (next === undefined) return at
    const isData = next === 0 || (next >= 0xd0 && next <= 0xd7)
    if (!isData && next !== 0xff) return at
    at = bytes.indexOf(0xff, at + (isData ? 2 : 1))
  }
  return null
}
