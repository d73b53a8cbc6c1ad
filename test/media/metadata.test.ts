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

/** A box of ISO media: its length, its name, what is in it. */
function box(name: string, ...content: (Buffer | string)[]): Buffer {
  const inside = Buffer.concat(content.map(part => Buffer.from(part)))
  const head = Buffer.alloc(8)
  head.writeUInt32BE(inside.length + 8)
  head.write(name, 4, 'latin1')
  return Buffer.concat([head, inside])
}

/** The head of a film or of a track, with the second in which it was made. */
const dated = (name: string, version: 0 | 1) => {
  const times = version === 0 ? 8 : 16
  return box(
    name,
    Buffer.of(version, 0, 0, 7),
    Buffer.alloc(times, 0xdd),
    Buffer.from('\x00\x00\x03\xe8 the rest of it'),
  )
}

function film(media: Buffer): Buffer {
  const ilst = box('meta', Buffer.alloc(4), box('hdlr', 'mdta'), box('ilst', box('data', `+52.5+013.4/ ${mark}`)))
  const track = box(
    'trak',
    dated('tkhd', 1),
    box('udta', box('name', mark)),
    box('mdia', dated('mdhd', 0), box('minf', 'how to play it')),
  )
  const long = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('mdat'), Buffer.alloc(8), media])
  long.writeBigUInt64BE(BigInt(long.length), 8)
  return Buffer.concat([
    box('ftyp', 'mp42', Buffer.alloc(4), 'isom'),
    box('moov', dated('mvhd', 0), box('udta', box('\xa9xyz', `+52.5+013.4/ ${mark}`)), ilst, track),
    box('uuid', Buffer.from('be7acfcb97a942e89c71999491e3afac', 'hex'), xmp),
    box('uuid', randomBytes(16), 'a box that players need'),
    long,
  ])
}

describe('a film', () => {
  it('keeps all that is played, in its place, and says neither where nor when it was made', async () => {
    const media = randomBytes(200_000)
    const original = film(media)
    for (const size of [65_536, 1_000, 13]) {
      const kept = await strip(original, 'video/mp4', size)
      expect(kept).toHaveLength(original.length)
      expect([kept.includes(mark), kept.includes('+52.5'), kept.includes(Buffer.alloc(8, 0xdd))]).toEqual([
        false,
        false,
        false,
      ])
      expect(kept.subarray(-media.length).equals(media)).toBe(true)
      for (const part of ['how to play it', 'the rest of it', 'a box that players need', 'moov', 'trak', 'mdia']) {
        expect(kept.includes(part)).toBe(true)
      }
    }
  })
})

describe('boxes in boxes', () => {
  it('are looked into as deep as films have them, and no deeper', async () => {
    const original = Buffer.concat([box('ftyp', 'mp42', Buffer.alloc(4)), Buffer.alloc(1_000_000, '\0\0\0\0moov')])
    expect((await strip(original)).equals(original)).toBe(true)
  })
})

describe('an AVIF', () => {
  it('keeps its pixels and colours, and nothing else', async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const
    const original = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#888', noise } })
      .avif()
      .withIccProfile('p3')
      .withExif(exif)
      .withXmp(xmp)
      .toBuffer()
    expect(original.includes(mark)).toBe(true)
    for (const size of [65_536, 7]) {
      const kept = await strip(original, 'image/avif', size)
      expect(kept).toHaveLength(original.length)
      expect(kept.includes(mark)).toBe(false)
      expect(namesPlace((await sharp(kept).metadata()).exif)).toBe(false)
      expect((await sharp(kept).metadata()).icc).toBeInstanceOf(Buffer)
      expect(await pixels(kept)).toEqual(await pixels(original))
    }
  })
})

describe('a HEIC', () => {
  const number16 = (...values: number[]) => Buffer.concat(values.map(value => Buffer.from([value >> 8, value & 255])))
  const number32 = (value: number) => Buffer.concat([number16(value >>> 16, value & 0xffff)])
  const info = (item: number, type: string) => box('infe', Buffer.from([2, 0, 0, 0]), number16(item, 0), type, '\0')

  /** Three items: the picture in the file, the Exif block behind it, XMP in the list itself. */
  function heic(shown: Buffer, block: Buffer): Buffer {
    const described = Buffer.from(xmp)
    const list = (offset: number) =>
      box(
        'meta',
        Buffer.alloc(4),
        box('hdlr', 'pict'),
        box('iinf', Buffer.alloc(4), number16(3), info(1, 'hvc1'), info(2, 'Exif'), info(3, 'mime')),
        box('iloc', Buffer.from([1, 0, 0, 0, 0x44, 0x00]), number16(3),
          number16(1, 0, 0, 1), number32(offset), number32(shown.length),
          number16(2, 0, 0, 1), number32(offset + shown.length), number32(block.length),
          number16(3, 1, 0, 1), number32(0), number32(described.length)),
        box('idat', described),
      ) // prettier-ignore
    const type = box('ftyp', 'heic', Buffer.alloc(4), 'mif1heic')
    return Buffer.concat([type, list(type.length + list(0).length + 8), box('mdat', shown, block)])
  }

  it('keeps the items that are shown, and none that describe them', async () => {
    const shown = randomBytes(100_000)
    const original = heic(shown, Buffer.from(`\0\0\0\x06Exif\0\0MM${mark}`))
    for (const size of [65_536, 11]) {
      const kept = await strip(original, 'image/heic', size)
      expect(kept).toHaveLength(original.length)
      expect([kept.includes(mark), kept.includes('rdf:about')]).toEqual([false, false])
      expect(kept.includes(shown)).toBe(true)
    }
  })

  it('is blanked from its first hidden part on if there are more of them than anybody needs', async () => {
    const parts = Buffer.concat(Array.from({ length: 200_000 }, () => number16(1, 1)))
    const meta = box(
      'meta',
      Buffer.alloc(4),
      box('iinf', Buffer.alloc(4), number16(1), info(2, 'Exif')),
      box('iloc', Buffer.from([1, 0, 0, 0, 0x22, 0x00]), number16(1, 2, 0, 0, 0xffff), parts),
    )
    const original = Buffer.concat([box('ftyp', 'heic', Buffer.alloc(4)), meta, box('mdat', randomBytes(2_000_000))])
    const kept = await strip(original)
    expect(kept).toHaveLength(original.length)
    expect(kept.subarray(-1_000_000).equals(Buffer.alloc(1_000_000))).toBe(true)
  })

  it('takes no time that its sender could choose, however often it hides the same', async () => {
    const meta = box(
      'meta',
      Buffer.alloc(4),
      box('iinf', Buffer.alloc(4), number16(1), info(2, 'Exif')),
      // One byte for a part, which goes on to the end of what is inside.
      box('iloc', Buffer.from([1, 0, 0, 0, 0x01, 0x00]), number16(6), ...Array.from({ length: 6 }, () =>
        Buffer.concat([number16(2, 1, 0, 0xffff), Buffer.alloc(0xffff)]))),
      box('idat', Buffer.alloc(600_000, mark)),
    ) // prettier-ignore
    const original = Buffer.concat([box('ftyp', 'heic', Buffer.alloc(4)), ...Array.from({ length: 9 }, () => meta)])
    const startedMs = performance.now()
    const kept = await strip(original)
    expect(performance.now() - startedMs).toBeLessThan(3_000)
    expect([kept.length, kept.includes(mark)]).toEqual([original.length, false])
  })

  it('passes whatever it is made into, and neither hangs nor grows', async () => {
    const original = heic(randomBytes(300), Buffer.from(`Exif${mark}`))
    await fc.assert(
      fc.asyncProperty(fc.nat(original.length - 1), fc.nat(255), fc.nat(original.length), async (at, byte, length) => {
        const changed = Buffer.from(original)
        changed[at] = byte
        expect(await strip(changed.subarray(0, length))).toHaveLength(length)
      }),
      { numRuns: 300 },
    )
  })
})
