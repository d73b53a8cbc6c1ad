import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createSealedStore } from '../../src/privacy/sealed-media.ts'
import { createFileStore } from '../../src/storage/media-file-store.ts'
import { type MediaStore } from '../../src/storage/media-store.ts'
import { testSealer } from '../harness/sealer.ts'

const isLinux = process.platform === 'linux'

let folder: string
let store: MediaStore
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-sealed-'))
  store = createSealedStore(createFileStore(folder), testSealer())
})
afterEach(() => rm(folder, { recursive: true }))

/** The files of the store that this process has open. */
async function openFiles(): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map(each => readlink(`/proc/self/fd/${each}`).catch(() => '')))
  return targets.filter(target => target.startsWith(folder))
}

/** The system closes files in its own time. */
async function expectClosed(): Promise<void> {
  if (!isLinux) return
  for (let tries = 0; tries < 100 && (await openFiles()).length > 0; tries++) await new Promise(resolve => setTimeout(resolve, 10)) // prettier-ignore
  expect(await openFiles()).toEqual([])
}

async function kept(bytes: Buffer): Promise<string> {
  const name = randomBytes(16).toString('hex')
  await store.write(name, Readable.from([bytes]), Infinity)
  return name
}

async function opened(name: string): Promise<Readable> {
  const file = await store.read(name)
  if (!file) throw new Error('the file is gone')
  return file.stream
}

describe('a sealed file', () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 131_072, 300_000])(
    'of %d bytes is what it was, and closed when it is read',
    async size => {
      const bytes = randomBytes(size)
      const stream = await opened(await kept(bytes))
      const closed = once(stream, 'close')
      expect((await buffer(stream)).equals(bytes)).toBe(true)
      await closed
      await new Promise(setImmediate)
      if (isLinux) expect(await openFiles()).toEqual([])
    },
  )

  it('is closed when whoever reads it goes away, before the first byte or in the middle', async () => {
    const name = await kept(randomBytes(1_000_000))
    const untouched = await opened(name)
    const begun = await opened(name)
    await once(begun, 'readable')
    begun.read(1)
    if (isLinux) expect(await openFiles()).toHaveLength(2)
    for (const stream of [untouched, begun]) {
      const closed = once(stream, 'close')
      stream.destroy()
      await closed
    }
    await expectClosed()
  })
})
