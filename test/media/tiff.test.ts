import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import sharp, { type TiffOptions } from 'sharp'
import { withoutMetadata } from '../../src/media/metadata/strip.ts'
import { HeldMemory } from '../../src/media/metadata/tiff.ts'
import { camera, described, exif, gps, mark, Writer } from './tiff-files.ts'

async function strip(bytes: Buffer, contentType = 'image/tiff', size = 65_536, held?: HeldMemory): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
  const kept: Buffer[] = []
  // A byte stream gives bytes.
  for await (const piece of withoutMetadata(Readable.from(chunks), contentType, 200_000_000, held)) kept.push(piece as Buffer) // prettier-ignore
  return Buffer.concat(kept)
}

const pixels = (image: Buffer) => sharp(image).raw().toBuffer()
/** Of one that is shades of grey. */
const greys = (image: Buffer, page = 0) => sharp(image, { page }).toColourspace('b-w').raw().toBuffer()

const noise = () =>
  sharp({
    create: { width: 120, height: 80, channels: 3, background: '#888', noise: { type: 'gaussian', mean: 128, sigma: 60 } }, // prettier-ignore
  })

/** What can be read of a TIFF's first directory by a reader that shares nothing with the one that is tested. */
function tagsOf(file: Buffer): number[] {
  const isLittle = file.toString('latin1', 0, 2) === 'II'
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const at = view.getUint32(4, isLittle)
  return Array.from({ length: view.getUint16(at, isLittle) }, (_, index) =>
    view.getUint16(at + 2 + index * 12, isLittle),
  )
}

describe('a TIFF', () => {
  it.each([true, false])('of a camera (little endian: %s) keeps its pixels and orientation, and nothing else', async isLittle => {
    const { file, shown } = camera(isLittle)
    expect(file.includes(mark)).toBe(true)
    expect(tagsOf(file)).toEqual(expect.arrayContaining([271, 34665, 34853]))
    expect(await greys(file)).toEqual(shown)
    for (const size of [65_536, 1, 7, 1_000]) {
      const kept = await strip(file, 'image/tiff', size)
      expect([kept.includes(mark), kept.length <= file.length]).toEqual([false, true])
      expect(tagsOf(kept)).toEqual([256, 257, 258, 259, 262, 273, 274, 277, 278, 279])
      expect(await greys(kept)).toEqual(shown)
      expect(await sharp(kept).metadata()).toMatchObject({ orientation: 6, width: 64, height: 48, pages: 1 })
      expect(await strip(kept)).toEqual(kept)
    }
  }) // prettier-ignore

  it.each<[string, TiffOptions]>([
    ['in strips', { compression: 'none' }],
    ['in packed tiles', { compression: 'lzw', tile: true, tileWidth: 32, tileHeight: 32 }],
    ['as JPEG', { compression: 'jpeg' }],
    ['of the big kind', { compression: 'deflate', bigtiff: true }],
    ['in several sizes', { compression: 'lzw', tile: true, pyramid: true, tileWidth: 32, tileHeight: 32 }],
    ['in packed bytes', { compression: 'packbits' }],
  ])('%s keeps its pixels and colours', async (_how, options) => {
    const original = await noise()
      .tiff(options)
      .withIccProfile('p3')
      .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/">${mark}</x:xmpmeta>`)
      .withMetadata({ orientation: 6 })
      .toBuffer()
    const before = await sharp(original).metadata()
    expect([original.includes(mark), before.xmp?.includes(mark)]).toEqual([true, true])
    const kept = await strip(original)
    const after = await sharp(kept).metadata()
    expect(kept.includes(mark)).toBe(false)
    expect(after.xmp).toBeUndefined()
    expect([after.orientation, after.icc]).toEqual([before.orientation, before.icc])
    expect(await pixels(kept)).toEqual(await pixels(original))
  })

  it('keeps all of its pages', async () => {
    const writer = new Writer(true)
    writer.head()
    const page = (next: number) => {
      const data = randomBytes(64)
      const at = writer.put(data)
      const entries = { 256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: at, 277: 1, 278: 8, 279: 64, 285: mark }
      return { data, at: writer.directory(entries, next) }
    }
    const third = page(0)
    const second = page(third.at)
    const first = page(second.at)
    const kept = await strip(writer.file(first.at))
    expect(kept.includes(mark)).toBe(false)
    expect((await sharp(kept).metadata()).pages).toBe(3)
    for (const [index, { data }] of [first, second, third].entries()) expect(await greys(kept, index)).toEqual(data)
  })

  it('is what it is, whatever it is said to be', async () => {
    const { file, shown } = camera(true)
    for (const type of ['text/plain', 'image/jpeg', 'application/octet-stream']) {
      const kept = await strip(file, type)
      expect(kept.includes(mark)).toBe(false)
      expect(await greys(kept)).toEqual(shown)
    }
  })

  it('that is a raw file of a camera says no more where it was taken, and can be read as before', async () => {
    const { file, shown } = camera(true, { ...described, 50706: Buffer.from([1, 4, 0, 0]) })
    const kept = await strip(file)
    expect(kept).toHaveLength(file.length)
    expect(await greys(kept)).toEqual(shown)
    const told = tagsOf(kept)
    expect([34853, 700, 270, 315, 306].filter(tag => told.includes(tag))).toEqual([])
    // Without these its colours cannot be computed.
    expect(told).toEqual(expect.arrayContaining([271, 272, 34665, 50706]))
    expect(kept.includes(`${mark} on a day`)).toBe(true)
    expect(file.toString('latin1').split(`${mark} on a day`).length).toBe(3)
    expect(kept.toString('latin1').split(`${mark} on a day`).length).toBe(2)
  })

  it('of which it is not said how long its parts are is kept but for what describes it', async () => {
    const { file } = camera(false, {}, { 271: mark, 34665: exif, 34853: gps })
    // The tag that says so becomes another.
    const at = file.indexOf(Buffer.from([1, 0x17, 0, 4, 0, 0, 0, 2]))
    file.writeUInt16BE(60_000, at)
    const kept = await strip(file)
    expect(kept).toHaveLength(file.length)
    expect([271, 34665, 34853].filter(tag => tagsOf(kept).includes(tag))).toEqual([])
    expect([kept.includes('on a day'), kept.includes("maker's"), kept.includes('serial')]).toEqual([
      false,
      false,
      false,
    ])
  })

  it('that is broken does not break the upload', async () => {
    const { file } = camera(true)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(file.length),
        async (changes, length) => {
          const broken = Buffer.from(file.subarray(0, length))
          for (const [at, value] of changes) if (at > 4 && at < length) broken[at] = value
          expect((await strip(broken)).length).toBeLessThanOrEqual(broken.length)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('that cannot be made sense of is no more than its first bytes, but an encrypted file stays as it is', async () => {
    const bytes = Buffer.concat([Buffer.from('II*\0'), randomBytes(50_000)])
    expect(await strip(bytes, 'image/tiff')).toEqual(bytes.subarray(0, 8))
    expect(await strip(bytes, 'application/octet-stream')).toEqual(bytes)
  })
})

describe('a TIFF that is made to cost much', () => {
  /** Directories that lie over each other, strips that are all of the file, and pointers at it. */
  function costly(): Buffer[] {
    const many = Object.fromEntries(Array.from({ length: 4_000 }, (_, index) => [index + 1_000, mark]))
    const overlapping = new Writer(true)
    overlapping.head()
    const below = overlapping.directory({ 256: 8, ...many })
    const above = overlapping.directory({ 256: 8, 273: 8, 279: 8, 330: Array.from({ length: 20_000 }, () => below) })
    const strips = new Writer(true)
    strips.head()
    const count = 90_000
    const offsets = strips.directory({
      256: 8, 257: 8, 273: Array.from({ length: count }, () => 0), 279: Array.from({ length: count }, () => 4_000_000),
    }) // prettier-ignore
    const pointers = new Writer(false)
    pointers.head()
    const pointing = pointers.directory({ 256: 8, ...many, 34853: Array.from({ length: 20_000 }, () => 8) })
    return [
      overlapping.file(above),
      Buffer.concat([strips.file(offsets), Buffer.alloc(4_000_000)]),
      Buffer.concat([pointers.file(pointing), Buffer.alloc(1_000_000)]),
    ]
  }

  /** For how long the event loop stood still at most, in milliseconds, while a file was read. */
  async function stallOf(file: Buffer): Promise<number> {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const kept = await strip(file)
    // It is told of a delay when that is over.
    await setTimeout(20)
    delay.disable()
    expect(kept.length).toBeLessThanOrEqual(file.length)
    return delay.max / 1e6
  }

  it('takes no time that others need', async () => {
    for (const file of costly()) {
      // What takes time takes it each time; what else this machine does does not come three times over.
      const stalls = [await stallOf(file), await stallOf(file), await stallOf(file)]
      expect(Math.min(...stalls)).toBeLessThan(150)
    }
  })

  it('is refused when it is too long, and when there is no memory for it', async () => {
    const held = new HeldMemory()
    const long = Readable.from(
      (function* () {
        yield Buffer.from('II*\0')
        for (let count = 0; count < 66; count++) yield Buffer.alloc(1024 * 1024)
      })(),
    )
    const reading = async (stream: Readable) => {
      for await (const _piece of withoutMetadata(stream, 'image/tiff', 200_000_000, held)) continue
    }
    await expect(reading(long)).rejects.toMatchObject({ errcode: 'M_TOO_LARGE' })
    expect(held.bytes).toBe(0)
    held.bytes = 64 * 1024 * 1024
    await expect(reading(Readable.from([camera(true).file]))).rejects.toMatchObject({ errcode: 'M_LIMIT_EXCEEDED' })
    held.bytes = 0
    await reading(Readable.from([camera(true).file]))
    expect(held.bytes).toBe(0)
  })
})
