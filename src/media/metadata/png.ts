import { crc32 } from 'node:zlib'
import { type ByteReader } from './byte-reader.ts'
import { exifHeadBytes, exifOf, orientationIn } from './orientation.ts'

/** Chunks that the picture is made of or that say how it looks, those of animations among them. */
const keptChunks: ReadonlySet<string> = new Set([
  'IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'cHRM', 'gAMA', 'iCCP', 'sBIT', 'sRGB', 'cICP', 'mDCV', 'cLLI', 'bKGD', 'hIST',
  'pHYs', 'sPLT', 'acTL', 'fcTL', 'fdAT',
]) // prettier-ignore
const signatureBytes = 8
/** https://www.w3.org/TR/png-3/#4Concepts.FormatChunks */
const lengthLimit = 2 ** 31 - 1

/** A PNG file without texts, times and whatever else does not change how it looks; the orientation stays. Nothing follows
 *  its end. A file that is not well-formed ends where it stops being so. */
export async function* stripPng(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(signatureBytes)
  let isTurned = false
  for (;;) {
    const head = await reader.take(8)
    if (head === null) return
    const length = head.readUInt32BE()
    if (length > lengthLimit) return
    const name = head.toString('latin1', 4)
    const withChecksum = length + 4
    if (name === 'eXIf' && length <= exifHeadBytes) {
      const data = await reader.take(withChecksum)
      const orientation = data === null ? 1 : orientationIn(data.subarray(0, length))
      if (orientation !== 1 && !isTurned) yield chunk('eXIf', exifOf(orientation))
      isTurned ||= orientation !== 1
    } else if (keptChunks.has(name)) {
      yield head
      yield* reader.pass(withChecksum)
    } else await reader.skip(withChecksum)
    if (name === 'IEND') return
  }
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}
