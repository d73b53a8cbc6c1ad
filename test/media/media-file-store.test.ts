import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createFileStore } from '../../src/storage/media-file-store.ts'
import { type MediaStore } from '../../src/storage/media-store.ts'

let folder: string
let store: MediaStore
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-media-'))
  store = createFileStore(join(folder, 'media'))
})
afterAll(() => rm(folder, { recursive: true }))

const newName = () => randomBytes(16).toString('hex')
const read = async (name: string) => {
  const opened = await store.read(name)
  return opened && { bytes: await buffer(opened.stream), sizeBytes: opened.sizeBytes }
}
const filesIn = async () => {
  const all = await readdir(folder, { recursive: true, withFileTypes: true })
  return all.filter(each => each.isFile()).map(each => each.name)
}

describe('the store of files', () => {
  it('gives back what it was given, and says how much it was', async () => {
    const name = newName()
    const bytes = randomBytes(300_000)
    const written = await store.write(name, Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]), 300_000)
    expect(written).toEqual({ sizeBytes: 300_000, sha256: createHash('sha256').update(bytes).digest() })
    expect(await read(name)).toEqual({ bytes, sizeBytes: 300_000 })
  })

  it('keeps an empty file', async () => {
    const name = newName()
    await store.write(name, Readable.from([]), 0)
    expect(await read(name)).toEqual({ bytes: Buffer.alloc(0), sizeBytes: 0 })
  })

  it('lets nobody else look', async () => {
    const name = newName()
    await store.write(name, Readable.from([Buffer.from('x')]), 10)
    const path = join(folder, 'media', name.slice(0, 2), name.slice(2, 4), name)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'media'))).mode & 0o777).toBe(0o700)
  })

  it('keeps nothing of a stream that is too long, and leaves the stream alive', async () => {
    const before = await filesIn()
    const stream = Readable.from([Buffer.alloc(6), Buffer.alloc(6), Buffer.alloc(6)], { objectMode: false })
    await expect(store.write(newName(), stream, 10)).rejects.toMatchObject({ errcode: 'M_TOO_LARGE' })
    expect(stream.destroyed).toBe(false)
    expect(await filesIn()).toEqual(before)
  })

  it('keeps nothing of a stream that breaks off', async () => {
    const before = await filesIn()
    const stream = Readable.from(
      (async function* () {
        yield await Promise.resolve(Buffer.alloc(100_000))
        throw new Error('the sender is gone')
      })(),
    )
    await expect(store.write(newName(), stream, 1_000_000)).rejects.toThrow('the sender is gone')
    expect(await filesIn()).toEqual(before)
  })

  it('keeps nothing of a stream that was destroyed before it was read', async () => {
    const before = await filesIn()
    const stream = new Readable({ read() {} })
    stream.on('error', () => undefined)
    stream.destroy(new Error('the sender was gone'))
    await expect(store.write(newName(), stream, 10)).rejects.toThrow()
    expect(await filesIn()).toEqual(before)
  })

  it('removes a file once', async () => {
    const name = newName()
    await store.write(name, Readable.from([Buffer.from('x')]), 10)
    expect(await store.remove(name)).toBe(true)
    expect(await store.remove(name)).toBe(false)
    expect(await store.read(name)).toBeNull()
  })

  it('knows nothing of a name that was never written', async () => {
    expect(await store.read(newName())).toBeNull()
    expect(await store.remove(newName())).toBe(false)
  })

  it.each([
    '../../../etc/passwd',
    '/etc/passwd',
    '..',
    '',
    'a'.repeat(33),
    'A'.repeat(32),
    `${'a'.repeat(31)}/`,
    `${'a'.repeat(31)}\0`,
  ])('takes no name but those of its own kind: %p', async name => {
    await expect(store.read(name)).rejects.toThrow(RangeError)
    await expect(store.remove(name)).rejects.toThrow(RangeError)
    await expect(store.write(name, Readable.from([]), 1)).rejects.toThrow(RangeError)
  })
})
