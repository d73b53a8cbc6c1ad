import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { deleteMedia, sweepMedia } from '../../src/media/delete.ts'
import { openThumbnail } from '../../src/media/thumbnail.ts'
import { type Exchange } from '../harness/exchange.ts'
import { type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { animation, hugePicture, picture, taggedPicture, transparentPicture } from '../media/images.ts'
import { codeOf, createAs, fillAs, inventoryAtRest, inventoryOf,  thumbnailAs, uploadAs } from './media-server.ts' // prettier-ignore

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
})
afterAll(() => server.close())

/** What an answer shows: its type, width and height. */
async function shown(done: Exchange): Promise<[unknown, number, number]> {
  expect([done.status, done.bytes.length > 0]).toEqual([200, true])
  const { width, height } = await sharp(done.bytes).metadata()
  return [done.headers['content-type'], width, height]
}

describe('a thumbnail', () => {
  it('is the smallest of the fixed sizes that will do', async () => {
    const mediaId = await uploadAs(alice, await picture(1_000, 500, 'png'), 'image/png')
    const sizeOf = async (width: number, height: number, method: string) =>
      shown(await thumbnailAs(alice, mediaId, { width, height, method }))
    expect(await sizeOf(32, 32, 'crop')).toEqual(['image/jpeg', 32, 32])
    expect(await sizeOf(40, 33, 'crop')).toEqual(['image/jpeg', 96, 96])
    expect(await sizeOf(32, 32, 'scale')).toEqual(['image/jpeg', 320, 160])
    expect(await sizeOf(800, 600, 'scale')).toEqual(['image/jpeg', 800, 400])
  })

  it('is as large as the picture where more is asked for than it has', async () => {
    const mediaId = await uploadAs(alice, await picture(60, 40, 'jpeg'), 'image/jpeg')
    expect(await shown(await thumbnailAs(alice, mediaId, { width: 96, height: 96, method: 'scale' }))).toEqual(['image/jpeg', 60, 40]) // prettier-ignore
    expect(await shown(await thumbnailAs(alice, mediaId, { width: 4_000, height: 4_000 }))).toEqual(['image/jpeg', 60, 40]) // prettier-ignore
  })

  it.each(['jpeg', 'png', 'gif', 'webp'] as const)('is made of a %s, whatever it was said to be', async format => {
    const mediaId = await uploadAs(alice, await picture(100, 100, format), 'application/octet-stream')
    const done = await thumbnailAs(alice, mediaId, { width: 32, height: 32, method: 'crop' })
    const [type, ...size] = await shown(done)
    expect([['image/jpeg', 'image/png'].includes(String(type)), ...size]).toEqual([true, 32, 32])
    expect(done.headers).toMatchObject({
      'content-disposition': `inline; filename="thumbnail.${String(type).slice(6)}"`,
      'content-security-policy': expect.stringContaining('sandbox'),
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'cross-origin',
    })
  })

  it('keeps transparency', async () => {
    const mediaId = await uploadAs(alice, await transparentPicture(100, 100), 'image/png')
    const done = await thumbnailAs(alice, mediaId, { width: 32, height: 32, method: 'crop' })
    expect(await shown(done)).toEqual(['image/png', 32, 32])
    expect((await sharp(done.bytes).metadata()).hasAlpha).toBe(true)
  })

  it('moves only where that is asked for', async () => {
    const mediaId = await uploadAs(alice, await animation(200, 100, 4), 'image/gif')
    const size = { width: 32, height: 32, method: 'scale' }
    const moving = await thumbnailAs(alice, mediaId, { ...size, animated: true })
    expect(moving.headers['content-type']).toBe('image/webp')
    expect(await sharp(moving.bytes).metadata()).toMatchObject({ format: 'webp', pages: 4, width: 200 })
    for (const query of [size, { ...size, animated: false }]) {
      const still = await thumbnailAs(alice, mediaId, query)
      expect((await sharp(still.bytes).metadata()).pages ?? 1).toBe(1)
      expect(still.headers['content-type']).not.toBe('image/webp')
    }
    const photo = await uploadAs(alice, await picture(50, 50, 'jpeg'), 'image/jpeg')
    expect((await thumbnailAs(alice, photo, { ...size, animated: true })).headers['content-type']).toBe('image/jpeg')
  })

  it('says nothing of where the picture was taken, and stands upright', async () => {
    const tagged = await taggedPicture(400, 200)
    expect(tagged.includes('SecretCamera')).toBe(true)
    const mediaId = await uploadAs(alice, tagged, 'image/jpeg')
    for (const side of [32, 9_000]) {
      const done = await thumbnailAs(alice, mediaId, { width: side, height: side, method: 'scale' })
      const [, width, height] = await shown(done)
      expect(height).toBeGreaterThan(width)
      expect(done.bytes.includes('SecretCamera')).toBe(false)
      expect((await sharp(done.bytes).metadata()).exif).toBeUndefined()
    }
  })

  it('is made once, however many ask for it at once', async () => {
    const before = await inventoryAtRest(server)
    const mediaId = await uploadAs(alice, await picture(500, 500, 'png'), 'image/png')
    const all = await Promise.all(
      Array.from({ length: 8 }, () => thumbnailAs(alice, mediaId, { width: 32, height: 32, method: 'crop' })),
    )
    const [first] = all
    expect(all.map(done => done.status)).toEqual(all.map(() => 200))
    expect(all.every(done => done.bytes.equals(first?.bytes ?? Buffer.alloc(0)))).toBe(true)
    expect(await inventoryAtRest(server)).toEqual({ files: before.files + 2, rows: before.rows + 2, notes: 0 })
  })

  it('is made once by processes that do not know of each other', async () => {
    const mediaId = await uploadAs(alice, await picture(500, 400, 'png'), 'image/png')
    const request = {
      serverName: server.ctx.serverName, mediaId, timeoutMs: 0, end: { isOver: false, listen: () => () => undefined },
      width: 32, height: 32, method: 'crop', isAnimated: false,
    } as const // prettier-ignore
    const opened = await Promise.all([{ ...server.ctx }, { ...server.ctx }].map(ctx => openThumbnail(ctx, request)))
    for (const { stream } of opened) stream.destroy()
    const { rows } = await server.ctx.db.pool.query('SELECT 1 FROM media_thumbnails WHERE media_id = $1', [mediaId])
    expect(rows.length).toBe(1)
    await sweepMedia(server.ctx)
    expect(await inventoryOf(server)).toMatchObject({ notes: 0 })
  })

  it('is waited for with its picture', async () => {
    const mediaId = await createAs(alice)
    const size = { width: 32, height: 32, method: 'crop' }
    expect(codeOf(await thumbnailAs(alice, mediaId, { ...size, timeout_ms: 0 }))).toEqual([504, 'M_NOT_YET_UPLOADED'])
    await fillAs(alice, mediaId, await picture(50, 50, 'png'))
    expect(await shown(await thumbnailAs(alice, mediaId, size))).toEqual(['image/jpeg', 32, 32])
  })

  it('goes with its picture', async () => {
    const before = await inventoryAtRest(server)
    const mediaId = await uploadAs(alice, await picture(50, 50, 'png'), 'image/png')
    const size = { width: 32, height: 32, method: 'crop' }
    expect((await thumbnailAs(alice, mediaId, size)).status).toBe(200)
    expect(await deleteMedia(server.ctx, mediaId)).toBe(true)
    expect(codeOf(await thumbnailAs(alice, mediaId, size))).toEqual([404, 'M_NOT_FOUND'])
    expect(await inventoryOf(server)).toEqual(before)
  })
})

describe('no thumbnail', () => {
  const size = { width: 32, height: 32, method: 'crop' }
  const refused = async (bytes: string | Uint8Array, type = 'image/png') =>
    codeOf(await thumbnailAs(alice, await uploadAs(alice, bytes, type), size))

  it.each([
    ['text', 'hello'],
    ['nothing', ''],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'],
    ['a GIF that is a page', 'GIF89a/*<svg/onload=alert(1)>*/=1;'],
    ['a JPEG that is PostScript', Buffer.from('\xff\xd8\xff%!PS-Adobe-3.0\n', 'latin1')],
    [
      'a PNG that is SVG',
      Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR<svg xmlns="http://www.w3.org/2000/svg"/>', 'latin1'),
    ],
    ['a WebP that is nothing', Buffer.from('RIFF\xff\xff\0\0WEBPVP8 \0\0\0\0', 'latin1')],
    ['a cut JPEG', Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex')],
  ])('is made of %s', async (_, bytes) => {
    expect(await refused(bytes)).toEqual([400, 'M_UNKNOWN'])
  })

  it('is made of a format that we do not hand to a decoder', async () => {
    expect(await refused(await picture(50, 50, 'tiff'))).toEqual([400, 'M_UNKNOWN'])
    expect(await refused(await picture(50, 50, 'avif'))).toEqual([400, 'M_UNKNOWN'])
  })

  it('is made of a picture with more pixels than we decode', async () => {
    expect(await refused(hugePicture(100_000, 100_000))).toEqual([413, 'M_TOO_LARGE'])
    expect(await refused(hugePicture(8_000, 4_001))).toEqual([413, 'M_TOO_LARGE'])
  })

  it.each([
    { width: 0, height: 32 },
    { width: 32, height: -1 },
    { width: 'x', height: 32 },
    { width: 1.5, height: 32 },
    { width: 32, height: 32, method: 'stretch' },
    { width: 32, height: 32, animated: 'perhaps' },
  ])('is made to %p', async query => {
    expect(codeOf(await thumbnailAs(alice, 'any', query))).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('is made without a size', async () => {
    expect(codeOf(await thumbnailAs(alice, 'any', { width: 32 }))).toEqual([400, 'M_MISSING_PARAM'])
  })

  it('leaves anything behind', async () => {
    const before = await inventoryAtRest(server)
    const mediaId = await uploadAs(alice, 'GIF89a nothing')
    await Promise.all(Array.from({ length: 6 }, () => thumbnailAs(alice, mediaId, size)))
    expect(await inventoryOf(server)).toEqual({ files: before.files + 1, rows: before.rows + 1, notes: 0 })
  })
})
