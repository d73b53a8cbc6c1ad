import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import sharp from 'sharp'
import { withoutMetadata } from '../../src/media/metadata/strip.ts'
import { animation, namesPlace, picture } from './images.ts'

const mark = 'secret-mark'
const gps = { GPSLatitude: '52/1 31/1 0/1', GPSLatitudeRef: 'N', GPSLongitude: '13/1 24/1 0/1', GPSLongitudeRef: 'E' }
const exif = { IFD0: { Make: mark, Artist: mark }, IFD2: { UserComment: mark }, IFD3: gps }
const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="${mark}"/></rdf:RDF></x:xmpmeta>`

/** A picture of noise, so that its data has every byte in it, with all that a camera would say. */
async function tagged(format: 'jpeg' | 'png' | 'webp', orientation: number): Promise<Buffer> {
  const noise = sharp({
    create: {
      width: 120,
      height: 80,
      channels: 3,
      background: '#888',
      noise: { type: 'gaussian', mean: 128, sigma: 60 },
    },
  })
  return noise
    .toFormat(format)
    .withIccProfile('p3')
    .withExif(exif)
    .withXmp(xmp)
    .withMetadata({ orientation })
    .toBuffer()
}

async function strip(bytes: Buffer, contentType = 'image/any', size = 65_536): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
  const kept: Buffer[] = []
  // A byte stream gives bytes.
  for await (const piece of withoutMetadata(Readable.from(chunks), contentType, 10_000_000)) kept.push(piece as Buffer)
  return Buffer.concat(kept)
}

const pixels = (image: Buffer) => sharp(image, { pages: -1 }).raw().toBuffer()

describe.each(['jpeg', 'png', 'webp'] as const)('a %s', format => {
  it.each([1, 3, 6, 8])('keeps its pixels, colours and orientation %i, and nothing else', async orientation => {
    const original = await tagged(format, orientation)
    const before = await sharp(original).metadata()
    // The picture must have what is to go.
    expect(before).toMatchObject({
      orientation,
      exif: expect.any(Buffer),
      xmp: expect.any(Buffer),
      icc: expect.any(Buffer),
    })
    expect(original.includes(mark)).toBe(true)
    const kept = await strip(original)
    const after = await sharp(kept).metadata()
    expect(kept.includes(mark)).toBe(false)
    expect(after.orientation ?? 1).toBe(orientation)
    expect(after.icc).toEqual(before.icc)
    expect(after.xmp).toBeUndefined()
    expect(namesPlace(before.exif)).toBe(true)
    expect(namesPlace(after.exif)).toBe(false)
    expect(await pixels(kept)).toEqual(await pixels(original))
    expect(await strip(kept)).toEqual(kept)
  })

  it('comes out the same however it comes in', async () => {
    const original = await tagged(format, 6)
    const kept = await strip(original)
    for (const size of [1, 2, 3, 7, 1_000]) expect(await strip(original, 'image/any', size)).toEqual(kept)
  })

  it('has nothing behind its end', async () => {
    const original = await tagged(format, 6)
    const trailer = Buffer.concat([Buffer.from(mark), randomBytes(100_000)])
    expect(await strip(Buffer.concat([original, trailer]))).toEqual(await strip(original))
  })

  it('is what it is, whatever it is said to be', async () => {
    const original = await tagged(format, 1)
    for (const type of ['text/plain', 'video/mp4', 'application/octet-stream']) {
      expect((await strip(original, type)).includes(mark)).toBe(false)
    }
  })

  it('that is broken does not break the upload', async () => {
    const original = await tagged(format, 6)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(original.length),
        async (changes, length) => {
          const broken = Buffer.from(original.subarray(0, length))
          for (const [at, value] of changes) if (at > 16 && at < length) broken[at] = value
          expect((await strip(broken)).length).toBeLessThanOrEqual(broken.length + 64)
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('a JPEG', () => {
  it('with several scans keeps all of them', async () => {
    const original = await sharp(await tagged('jpeg', 1))
      .jpeg({ progressive: true })
      .withExif(exif)
      .toBuffer()
    const kept = await strip(original)
    expect(kept.includes(mark)).toBe(false)
    expect(await pixels(kept)).toEqual(await pixels(original))
  })

  it('loses comments, thumbnails and what other programs put into it', async () => {
    const original = await picture(40, 30, 'jpeg')
    const segment = (marker: number, text: string) => {
      const data = Buffer.from(text, 'latin1')
      return Buffer.concat([Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]), data])
    }
    const additions = [
      segment(0xe0, `JFXX\0\x10${mark}`),
      segment(0xe0, `JFIF\0\x01\x01\0\0\x01\0\x01\x02\x02${mark}`),
      segment(0xe2, `MPF\0${mark}`),
      segment(0xed, `Photoshop 3.0\0${mark}`),
      segment(0xeb, `JP\0${mark}`),
      segment(0xfe, mark),
    ]
    const loaded = Buffer.concat([original.subarray(0, 2), ...additions, original.subarray(2)])
    const kept = await strip(loaded)
    expect(kept.includes(mark)).toBe(false)
    expect(await pixels(kept)).toEqual(await pixels(original))
  })
})

describe('a PNG', () => {
  it('loses its texts and times', async () => {
    const original = await sharp(await picture(40, 30, 'png'))
      .png()
      .withMetadata({ density: 72 })
      .toBuffer()
    const chunk = (name: string, data: string) => {
      const body = Buffer.from(name + data, 'latin1')
      const around = Buffer.alloc(8)
      around.writeUInt32BE(data.length)
      return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)])
    }
    const additions = ['tEXt', 'zTXt', 'iTXt', 'tIME', 'caBX', 'prVt'].map(name => chunk(name, `Comment\0${mark}`))
    const loaded = Buffer.concat([original.subarray(0, 33), ...additions, original.subarray(33)])
    const kept = await strip(loaded)
    expect(kept).toEqual(await strip(original))
    expect((await sharp(kept).metadata()).density).toBe(72)
  })
})

describe('an animation', () => {
  it.each(['gif', 'webp'] as const)(
    'in %s keeps its frames, their times and how often they are shown',
    async format => {
      const moving = await animation(30, 20, 4)
      const original = await sharp(moving, { animated: true })
        .toFormat(format, { loop: 3, delay: [100, 200, 300, 400] })
        .withExif(format === 'webp' ? exif : {})
        .toBuffer()
      const comment = Buffer.concat([Buffer.from([0x21, 0xfe, mark.length]), Buffer.from(mark), Buffer.from([0])])
      const application = Buffer.concat([
      Buffer.from([0x21, 0xff, 11]), Buffer.from('XMP DataXMP'), Buffer.from([mark.length]), Buffer.from(mark), Buffer.from([0]),
    ]) // prettier-ignore
      // Before the end of a GIF; a WebP has its own.
      const loaded =
        format === 'gif'
          ? Buffer.concat([original.subarray(0, -1), comment, application, original.subarray(-1)])
          : original
      expect(loaded.includes(mark)).toBe(true)
      const kept = await strip(loaded)
      expect(kept.includes(mark)).toBe(false)
      const [before, after] = await Promise.all(
        [original, kept].map(each => sharp(each, { animated: true }).metadata()),
      )
      expect(after).toMatchObject({ pages: 4, loop: before?.loop, delay: before?.delay })
      expect(await pixels(kept)).toEqual(await pixels(original))
    },
  )
})

describe('what is no picture', () => {
  it.each([0, 1, 15, 16, 200_000])('passes unchanged, all %i bytes of it', async length => {
    const bytes = randomBytes(length)
    bytes.subarray(0, 3).fill(7)
    expect(await strip(bytes, 'image/jpeg', 999)).toEqual(bytes)
  })

  it('passes unchanged though it begins like a JPEG by chance, as one of many encrypted files does', async () => {
    const ciphertext = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), randomBytes(10_000)])
    expect(await strip(ciphertext, 'application/octet-stream')).toEqual(ciphertext)
  })
})

describe('a picture that is too large', () => {
  it('is refused by what comes in, not by what is kept', async () => {
    const original = await picture(40, 30, 'png')
    const long = Readable.from([original, Buffer.alloc(100_000)])
    const reading = (async () => {
      for await (const _piece of withoutMetadata(long, 'image/png', 50_000)) continue
    })()
    await expect(reading).rejects.toMatchObject({ errcode: 'M_TOO_LARGE' })
  })
})
