import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { createAs, downloadAs, fillAs, uploadAs } from '../api/media-server.ts'
import { type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { namesPlace, taggedPicture } from '../media/images.ts'
import { camera, mark } from '../media/tiff-files.ts'

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
})
afterAll(() => server.close())

/** What the database says of a file, and the hash of the file as it lies on the disk, which is sealed. */
const kept = async (mediaId: string) => {
  const { rows } = await server.ctx.db.pool.query<{ size_bytes: number; sha256: Buffer; file_name: string }>(
    'SELECT size_bytes, sha256, file_name FROM media WHERE media_id = $1',
    [mediaId],
  )
  const name = rows[0]?.file_name ?? ''
  const file = await readFile(join(server.config.media.store.path, name.slice(0, 2), name.slice(2, 4), name))
  return { sizeBytes: rows[0]?.size_bytes, sha256: rows[0]?.sha256, hash: createHash('sha256').update(file).digest() }
}

describe('a picture that says where it was taken', () => {
  it.each([
    ['by its type', 'image/jpeg'],
    ['by no type', undefined],
    ['by a false type', 'text/plain'],
  ])('and is known %s, no longer does when it is downloaded', async (_how, type) => {
    const original = await taggedPicture(64, 48)
    expect(original.includes('SecretCamera')).toBe(true)
    expect(namesPlace((await sharp(original).metadata()).exif)).toBe(true)
    const mediaId = await uploadAs(alice, original, type, 'holiday.jpg')
    const { bytes, headers } = await downloadAs(alice, mediaId)
    expect(bytes.includes('SecretCamera')).toBe(false)
    const { exif, orientation, width } = await sharp(bytes).metadata()
    expect(namesPlace(exif)).toBe(false)
    expect([orientation, width]).toEqual([6, 64])
    expect(await sharp(bytes).raw().toBuffer()).toEqual(await sharp(original).raw().toBuffer())
    // All that is said of the file is true of what is kept.
    expect(bytes.length).toBeLessThan(original.length)
    expect(headers['content-length']).toBe(String(bytes.length))
    const { sizeBytes, sha256, hash } = await kept(mediaId)
    expect([sizeBytes, sha256]).toEqual([bytes.length, hash])
  })

  it('does not either when its content comes after its ID', async () => {
    const mediaId = await createAs(alice)
    expect((await fillAs(alice, mediaId, await taggedPicture(64, 48))).status).toBe(200)
    expect((await downloadAs(alice, mediaId)).bytes.includes('SecretCamera')).toBe(false)
  })
})

describe('a TIFF that says where it was taken', () => {
  it('no longer does when it is downloaded, as image/tiff or as anything', async () => {
    const { file, shown } = camera(true)
    expect(file.includes(mark)).toBe(true)
    for (const type of ['image/tiff', undefined]) {
      const { bytes, headers } = await downloadAs(alice, await uploadAs(alice, file, type, 'scan.tiff'))
      expect(bytes.includes(mark)).toBe(false)
      expect((await sharp(bytes).metadata()).orientation).toBe(6)
      expect(await sharp(bytes).toColourspace('b-w').raw().toBuffer()).toEqual(shown)
      expect(headers['content-length']).toBe(String(bytes.length))
    }
  })
})

describe('an encrypted file', () => {
  it('comes back as it was', async () => {
    const ciphertext = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), randomBytes(50_000)])
    const { bytes } = await downloadAs(alice, await uploadAs(alice, ciphertext, 'application/octet-stream'))
    expect(bytes.equals(ciphertext)).toBe(true)
  })
})
