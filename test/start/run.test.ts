import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const RUN = fileURLToPath(new URL('../run.ts', import.meta.url))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-run-'))
  await writeFile(join(folder, 'good.case.js'), `test('one', () => {}); test('two', () => {})`)
  await writeFile(join(folder, 'bad.case.js'), `test('three', () => {}); test('four', () => { throw new Error('no') })`)
  await writeFile(join(folder, 'broken.case.js'), `this is no JavaScript`)
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

/** The last line and the exit code of `npm test` over some files. */
function run(pattern: string): Promise<{ code: number; lastLine: string }> {
  const config = JSON.stringify({ rootDir: folder, testMatch: [`<rootDir>/${pattern}.case.js`], transform: {} })
  return new Promise(resolve => {
    execFile(process.execPath, [RUN, '--config', config], (error, stdout) => {
      // The exit code, when there was one.
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' })
    })
  })
}

describe('npm test', () => {
  it('ends with how many tests passed and failed, and jest’s exit code', async () => {
    expect(await run('good')).toEqual({ code: 0, lastLine: '2 passed, 0 failed' })
    expect(await run('bad')).toEqual({ code: 1, lastLine: '1 passed, 1 failed' })
  })

  it('counts a file that cannot be run as a failure', async () => {
    expect(await run('{good,broken}')).toEqual({ code: 1, lastLine: '2 passed, 1 failed' })
  })

  it('does not take an empty run, or a jest that does not start, for success', async () => {
    expect(await run('nothing')).toEqual({ code: 1, lastLine: '0 passed, 1 failed' })
    expect((await run('"')).code).toBe(1)
  })
})
