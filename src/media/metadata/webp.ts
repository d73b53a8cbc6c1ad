import { type ByteReader } from './byte-reader.ts'
import { exifHeadBytes, exifOf, orientationIn } from './orientation.ts'

/** Chunks that the picture is made of or that say how it looks. https://developers.google.com/speed/webp/docs/riff_container */
const keptChunks: ReadonlySet<string> = new Set(['VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ICCP'])
const frameHeadBytes = 16
const xmpFlag = 0x04
const zeros = Buffer.alloc(65_536)

/**
 * A WebP file in which everything that does not change how it looks is overwritten with zeros: its first bytes say how long
 * it is, so nothing is taken out. The orientation stays. Nothing follows its end.
 */
export async function* stripWebp(reader: ByteReader): AsyncGenerator<Buffer> {
  const head = await reader.take(12)
  if (head === null) return
  yield head
  yield* chunks(reader, head.readUInt32LE(4) - 4)
}

/** The chunks in the next `length` bytes; less than a chunk's head at their end is left out. */
async function* chunks(reader: ByteReader, length: number): AsyncGenerator<Buffer> {
  for (let left = length; left >= 8;) {
    const head = await reader.take(8)
    if (head === null) return
    left -= 8
    const dataBytes = Math.min(head.readUInt32LE(4), left)
    // Chunks begin at even places.
    const paddedBytes = Math.min(dataBytes + (dataBytes % 2), left)
    left -= paddedBytes
    const name = head.toString('latin1', 0, 4)
    if (keptChunks.has(name)) {
      yield head
      yield* reader.pass(paddedBytes)
    } else if (name === 'ANMF' && paddedBytes >= frameHeadBytes) {
      yield head
      yield* reader.pass(frameHeadBytes)
      yield* chunks(reader, paddedBytes - frameHeadBytes)
    } else if (name === 'VP8X' && dataBytes >= 1) {
      const flags = await reader.take(1)
      if (flags === null) return
      yield head
      yield Buffer.from([(flags[0] ?? 0) & ~xmpFlag])
      yield* reader.pass(paddedBytes - 1)
    } else if (name === 'EXIF') {
      const block = await reader.peek(Math.min(dataBytes, exifHeadBytes))
      const exif = exifOf(orientationIn(block)).subarray(0, dataBytes)
      const skipped = await reader.skip(paddedBytes)
      yield head
      yield exif
      yield* zeroed(skipped - exif.length)
    } else {
      head.write('JUNK', 0, 'latin1')
      yield head
      yield* zeroed(await reader.skip(paddedBytes))
    }
  }
}

function* zeroed(count: number): Generator<Buffer> {
  for (let left = count; left > 0; left -= zeros.length) yield zeros.subarray(0, left)
}
