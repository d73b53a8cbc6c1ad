import { describe, expect, it } from '@jest/globals'
import fastCheck from 'fast-check'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createFileStore } from '../../src/storage/media-file-store.ts'
import { Disk, SystemError } from './disk.ts'

const name = '0123456789abcdef0123456789abcdef'
const content = [Buffer.from('one,'), Buffer.from('two,'), Buffer.from('three')]
const whole = Buffer.concat(content)
const newStream = () => Readable.from(content, { objectMode: false })

/** Throws at the n-th operation, and at all after it when `forever`. */
function failAt(n: number, code: string, forever: boolean) {
  let count = 0
  return {
    operations: () => count,
    fail() {
      count += 1
      if (count === n || (forever && count > n)) throw new SystemError(code)
    },
  }
}

async function bytesIn(disk: Disk): Promise<Buffer | null> {
  const opened = await createFileStore('/media', disk).read(name)
  return opened && buffer(opened.stream)
}

async function operationsOfAWrite(): Promise<number> {
  const counter = failAt(Infinity, '', false)
  await createFileStore('/media', new Disk(counter.fail)).write(name, newStream(), 100)
  return counter.operations()
}

describe('a disk that fails', () => {
  it('at any one operation leaves nothing behind, and says so', async () => {
    const total = await operationsOfAWrite()
    expect(total).toBeGreaterThan(10)
    for (let n = 1; n <= total; n += 1) {
      const disk = new Disk(failAt(n, 'EIO', false).fail)
      await expect(createFileStore('/media', disk).write(name, newStream(), 100)).rejects.toMatchObject({ code: 'EIO' })
      expect([n, disk.files()]).toEqual([n, []])
    }
  })

  it.each(['ENOSPC', 'EDQUOT'])('for want of room (%s) is a refusal with a status of its own', async code => {
    const disk = new Disk(operation => {
      if (operation === 'write') throw new SystemError(code)
    })
    await expect(createFileStore('/media', disk).write(name, newStream(), 100)).rejects.toMatchObject({
      errcode: 'M_UNKNOWN',
      status: 507,
    })
    expect(disk.files()).toEqual([])
  })
})

describe('a power cut', () => {
  const runs = Number(process.env['MEDIA_CRASH_RUNS'] ?? 500)

  it('at any time leaves the whole file or none, and the whole file once that was promised', async () => {
    const total = await operationsOfAWrite()
    await fastCheck.assert(
      fastCheck.asyncProperty(
        fastCheck.integer({ min: 1, max: total + 1 }),
        fastCheck.infiniteStream(fastCheck.boolean()),
        fastCheck.infiniteStream(fastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        async (n, coins, fractions) => {
          const disk = new Disk(failAt(n, 'CRASH', true).fail)
          const isPromised = await createFileStore('/media', disk)
            .write(name, newStream(), 100)
            .then(() => true, () => false) // prettier-ignore
          const after = disk.crash(
            () => coins.next().value,
            () => fractions.next().value,
          )
          const found = await bytesIn(after)
          if (isPromised || found !== null) expect(found).toEqual(whole)
          // Whatever is left is found by its name, and can be removed.
          await createFileStore('/media', after).remove(name)
          expect(after.files()).toEqual([])
        },
      ),
      { numRuns: runs },
    )
  })

  it('takes no file with the folder that somebody else has just made', async () => {
    const disk = new Disk()
    await disk.mkdir('/media')
    await disk.mkdir('/media/01')
    await createFileStore('/media', disk).write(name, newStream(), 100)
    expect(await bytesIn(disk.crash(() => false, () => 0))).toEqual(whole) // prettier-ignore
  })

  it('after a removal does not bring the file back', async () => {
    await fastCheck.assert(
      fastCheck.asyncProperty(fastCheck.infiniteStream(fastCheck.boolean()), async coins => {
        const disk = new Disk()
        const store = createFileStore('/media', disk)
        await store.write(name, newStream(), 100)
        expect(await store.remove(name)).toBe(true)
        const after = disk.crash(
          () => coins.next().value,
          () => 0,
        )
        expect(await bytesIn(after)).toBeNull()
      }),
      { numRuns: 20 },
    )
  })
})
