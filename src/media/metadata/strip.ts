import { Readable } from 'node:stream'
import { unknownType } from '../headers.ts'
import { imageFormatOf, imageHeadBytes, type ImageFormat } from '../image-format.ts'
import { ByteReader } from './byte-reader.ts'
import { stripGif } from './gif.ts'
import { isIsoMedia, stripIsoMedia } from './iso-media.ts'
import { stripJpeg } from './jpeg.ts'
import { stripPng } from './png.ts'
import { HeldMemory, isTiff, stripTiff } from './tiff.ts'
import { stripWebp } from './webp.ts'

/** What is written at a time, so that small pieces do not make small writes. */
const pieceBytes = 64 * 1024

const strippers: Readonly<Record<ImageFormat, (reader: ByteReader) => AsyncGenerator<Buffer>>> = {
  jpeg: stripJpeg,
  png: stripPng,
  gif: stripGif,
  webp: stripWebp,
}

/**
 * An upload as it is kept. Pictures and films (JPEG, PNG, GIF, WebP, TIFF, HEIC, AVIF, MP4, QuickTime, by their first bytes)
 * lose what they tell beside what they show: where and when they were taken, by which camera, thumbnails, comments. They are
 * not encoded anew, and keep colours and orientation. Everything else, encrypted files among it, passes unchanged. Takes a
 * normalised type. The stream is read to its end; it throws M_TOO_LARGE after `limitBytes`, and M_LIMIT_EXCEEDED when too
 * many are looked at that must be in memory: `held` counts them.
 */
export function withoutMetadata(
  stream: Readable,
  contentType: string,
  limitBytes: number,
  held = new HeldMemory(),
): Readable {
  const pieces = stripped(new ByteReader(stream, limitBytes), contentType, held)
  return Readable.from(gathered(pieces), { objectMode: false })
}

async function* stripped(reader: ByteReader, contentType: string, held: HeldMemory): AsyncGenerator<Buffer> {
  if (isTiff(await reader.peek(4))) return yield* stripTiff(reader, held, contentType === unknownType)
  if (isIsoMedia(await reader.peek(imageHeadBytes))) return yield* stripIsoMedia(reader)
  const format = pictureIn(await reader.peek(imageHeadBytes), contentType)
  if (format === null) return yield* reader.pass(Infinity)
  yield* strippers[format](reader)
  // What follows a picture is not part of it, but whoever sends it waits until it is read.
  await reader.skip(Infinity)
}

/**
 * The format of a picture. Encrypted files come without a type, and one of 16 million begins like a JPEG by chance: there
 * the name of the first segment must be right too.
 */
function pictureIn(head: Buffer, contentType: string): ImageFormat | null {
  const format = imageFormatOf(head)
  if (format !== 'jpeg' || contentType !== unknownType) return format
  return /^(JFIF|Exif)\0$/.test(head.toString('latin1', 6, 11)) ? format : null
}

async function* gathered(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces) {
    if (bytes === 0 && piece.length >= pieceBytes) {
      yield piece
      continue
    }
    waiting.push(piece)
    bytes += piece.length
    if (bytes < pieceBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(waiting)
}
