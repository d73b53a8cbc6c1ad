import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { createArchive } from '../../src/cli/backup/archive-writer.ts'

const hourMs = 3_600_000

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-archive-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const bytes = (text: string) => Readable.from([Buffer.from(text)], { objectMode: false })

describe('the file of a backup', () => {
  it('is that of the one that ends last, where two are written to one name at once', async () => {
    const file = join(folder, 'lethe.backup')
    const [one, other] = [await createArchive(file, new Date()), await createArchive(file, new Date())]
    const given = await createArchive(file, new Date())
    await one.add('one', bytes('1'.repeat(10_000)), { isPacked: false })
    await other.add('other', bytes('2'.repeat(10_000)), { isPacked: false })
    await given.abandon()
    await one.finish()
    expect((await readFile(file)).includes('1'.repeat(10_000))).toBe(true)
    await other.finish()
    const written = await readFile(file)
    expect([written.includes('2'.repeat(10_000)), written.includes('1'.repeat(10_000))]).toEqual([true, false])
    expect(await readdir(folder)).toEqual(['lethe.backup'])
  })

  it('leaves what others are writing, and removes what killed runs have left', async () => {
    const file = join(folder, 'lethe.backup')
    const drafts = { old: '.lethe.backup.00112233445566aa.unfinished', older: '.lethe.backup.unfinished', new: '.lethe.backup.00112233445566bb.unfinished', another: '.lethe.backup.b.00112233445566aa.unfinished' } // prettier-ignore
    for (const name of Object.values(drafts)) await writeFile(join(folder, name), 'half of it')
    const longAgo = new Date(Date.now() - 2 * hourMs)
    for (const name of [drafts.old, drafts.older, drafts.another]) await utimes(join(folder, name), longAgo, longAgo)
    await (await createArchive(file, new Date())).abandon()
    expect((await readdir(folder)).sort()).toEqual([drafts.new, drafts.another])
  })
})
