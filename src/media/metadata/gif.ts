import { type ByteReader } from './byte-reader.ts'

const imageMark = 0x2c
const extensionMark = 0x21
const endMark = 0x3b
/** Delay, transparency, disposal. */
const graphicControl = 0xf9
const application = 0xff
/** How often an animation is repeated, and the colour profile. */
const keptApplications: ReadonlySet<string> = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0', 'ICCRGBG1012'])

/** A GIF file without comments and what applications wrote into it. Nothing follows its end. A file that is not well-formed
 *  ends where it stops being so. https://www.w3.org/Graphics/GIF/spec-gif89a.txt */
export async function* stripGif(reader: ByteReader): AsyncGenerator<Buffer> {
  const head = await reader.take(13)
  if (head === null) return
  yield head
  yield* reader.pass(colourTableBytes(head[10]))
  for (;;) {
    const mark = (await reader.take(1))?.[0]
    if (mark === endMark) return yield Buffer.from([endMark])
    if (mark === imageMark) {
      const descriptor = await reader.take(9)
      if (descriptor === null) return
      yield Buffer.from([imageMark])
      yield descriptor
      // The colour table, and the width of the codes.
      yield* reader.pass(colourTableBytes(descriptor[8]) + 1)
      yield* blocks(reader)
    } else if (mark === extensionMark) {
      const label = (await reader.take(1))?.[0]
      if (label === undefined) return
      if (label === graphicControl || (label === application && (await isKeptApplication(reader)))) {
        yield Buffer.from([extensionMark, label])
        yield* blocks(reader)
      } else for await (const _dropped of blocks(reader)) continue
    } else return
  }
}

function colourTableBytes(flags: number | undefined): number {
  return flags !== undefined && (flags & 0x80) !== 0 ? 3 * 2 ** ((flags & 0x07) + 1) : 0
}

async function isKeptApplication(reader: ByteReader): Promise<boolean> {
  return keptApplications.has((await reader.peek(12)).toString('latin1', 1))
}

/** Blocks of at most 255 bytes, each behind its length, up to the empty one. */
async function* blocks(reader: ByteReader): AsyncGenerator<Buffer> {
  for (;;) {
    const length = (await reader.peek(1))[0]
    if (length === undefined) return
    yield* reader.pass(length + 1)
    if (length === 0) return
  }
}
