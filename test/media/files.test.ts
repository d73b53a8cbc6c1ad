import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { createAccount } from '../../src/accounts/registration.ts'
import { type Context } from '../../src/context.ts'
import { deleteMedia, deleteMediaOfUser, sweepMedia } from '../../src/media/delete.ts'
import { awaitedUploadLifetimeMs, createMedia, uploadMedia } from '../../src/media/upload.ts'
import { userIdOf } from '../../src/protocol/identifiers.ts'
import { mediaOf } from '../../src/storage/media.ts'
import { createFileStore } from '../../src/storage/media-file-store.ts'
import { type MediaStore } from '../../src/storage/media-store.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'
import { Disk } from './disk.ts'

let storage: StorageContext
let disk: Disk
let store: MediaStore
let ctx: Context
let uploader: { userNumber: number; isSuspended: boolean }
beforeAll(async () => {
  storage = await storageContext()
  disk = new Disk()
  store = createFileStore('/media', disk)
  ctx = { ...storage.ctx, mediaStore: store }
  const userId = userIdOf('alice', ctx.serverName)
  if (userId === null) throw new Error('alice has an ID')
  await createAccount(ctx, { userId, passwordHash: null, isAdmin: false })
  uploader = { userNumber: await ctx.numbers.user(userId), isSuspended: false }
})
afterAll(() => storage.close())

const upload = (stream: Readable) => ({ stream, contentType: null, contentLength: null, fileName: null })
const content = () => upload(Readable.from([randomBytes(100)]))
const notes = async () => (await ctx.db.pool.query('SELECT 1 FROM unreferenced_files')).rows.length
const rows = async () => (await ctx.db.pool.query('SELECT 1 FROM media')).rows.length
const power = (): never => {
  throw new Error('the process died')
}

describe('an upload', () => {
  it('is written down before it is written', async () => {
    let noted = 0
    const dying = { ...ctx, mediaStore: { ...store, write: async () => ((noted = await notes()), power()), remove: () => Promise.reject(new Error('dead')) } } // prettier-ignore
    await expect(uploadMedia(dying, uploader, content())).rejects.toThrow('the process died')
    expect(noted).toBe(1)
    expect([await notes(), await rows(), disk.files()]).toEqual([1, 0, []])
    expect(await sweepMedia(ctx)).toBe(0)
    await storage.clock.advance(24 * 3_600_000)
    expect(await sweepMedia(ctx)).toBe(1)
    expect(await notes()).toBe(0)
  })

  it('whose process dies when the file is whole and the row is not is swept a day later', async () => {
    const dying = {
      ...ctx,
      mediaStore: {
        ...store,
        async write(...order: Parameters<MediaStore['write']>) {
          await store.write(...order)
          return power()
        },
        remove: () => Promise.reject(new Error('dead')),
      },
    }
    await expect(uploadMedia(dying, uploader, content())).rejects.toThrow('the process died')
    expect([await notes(), await rows(), disk.files().length]).toEqual([1, 0, 1])
    await storage.clock.advance(24 * 3_600_000)
    expect(await sweepMedia(ctx)).toBe(1)
    expect([await notes(), disk.files()]).toEqual([0, []])
  })

  it('that took so long that its file was swept is refused', async () => {
    const slow = {
      ...ctx,
      mediaStore: {
        ...store,
        async write(...order: Parameters<MediaStore['write']>) {
          const written = await store.write(...order)
          await storage.clock.advance(24 * 3_600_000)
          await sweepMedia(ctx)
          return written
        },
      },
    }
    await expect(uploadMedia(slow, uploader, content())).rejects.toMatchObject({ status: 408 })
    expect([await notes(), await rows(), disk.files()]).toEqual([0, 0, []])
  })
})

describe('deleting media', () => {
  it('removes row and file, once', async () => {
    const mediaId = await uploadMedia(ctx, uploader, content())
    expect(disk.files().length).toBe(1)
    expect(await deleteMedia(ctx, mediaId)).toBe(true)
    expect(await deleteMedia(ctx, mediaId)).toBe(false)
    expect([await notes(), await rows(), disk.files()]).toEqual([0, 0, []])
  })

  it('hides it at once where the process dies before the file is gone, and the sweeper goes on', async () => {
    const mediaId = await uploadMedia(ctx, uploader, content())
    const dying = { ...ctx, mediaStore: { ...store, remove: () => Promise.reject(new Error('the process died')) } }
    await expect(deleteMedia(dying, mediaId)).rejects.toThrow('the process died')
    expect(await mediaOf(ctx.db.kysely, ctx.numbers.sealer, mediaId)).toBeNull()
    expect([await notes(), disk.files().length]).toEqual([1, 1])
    expect(await sweepMedia(ctx)).toBe(1)
    expect([await notes(), disk.files()]).toEqual([0, []])
  })

  it('goes on where the process dies between the file and its note', async () => {
    const mediaId = await uploadMedia(ctx, uploader, content())
    const dying = {
      ...ctx,
      mediaStore: {
        ...store,
        async remove(name: string) {
          await store.remove(name)
          return power()
        },
      },
    }
    await expect(deleteMedia(dying, mediaId)).rejects.toThrow('the process died')
    expect([await notes(), disk.files()]).toEqual([1, []])
    expect(await sweepMedia(ctx)).toBe(1)
    expect(await notes()).toBe(0)
  })

  it('takes everything of a user', async () => {
    for (let count = 0; count < 3; count += 1) await uploadMedia(ctx, uploader, content())
    await createMedia(ctx, uploader)
    expect(await deleteMediaOfUser(ctx, uploader.userNumber)).toBe(4)
    expect([await notes(), await rows(), disk.files()]).toEqual([0, 0, []])
  })
})

describe('the sweeper', () => {
  it('removes uploads that never came, and no others', async () => {
    const kept = await uploadMedia(ctx, uploader, content())
    const { mediaId } = await createMedia(ctx, uploader)
    await storage.clock.advance(awaitedUploadLifetimeMs - 1)
    expect(await sweepMedia(ctx)).toBe(0)
    await storage.clock.advance(1)
    expect(await sweepMedia(ctx)).toBe(1)
    expect(await mediaOf(ctx.db.kysely, ctx.numbers.sealer, mediaId)).toBeNull()
    expect(await mediaOf(ctx.db.kysely, ctx.numbers.sealer, kept)).not.toBeNull()
  })
})
