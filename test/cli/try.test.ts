import { afterEach, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { main } from '../backup/lethe.ts'
import { exchange } from '../harness/exchange.ts'

let child: ChildProcess | null = null
let folder: string | null = null
afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  child = null
  if (folder !== null) await rm(folder, { recursive: true, force: true })
})

describe('lethe try', () => {
  it('serves on this machine alone, on a database of its own, and leaves nothing behind', async () => {
    // Its temporary folder is in here, and nothing else is.
    folder = await mkdtemp(join(tmpdir(), 'lt-'))
    // Started by root, Postgres runs as somebody else, who must be able to pass, as through /tmp.
    await chmod(folder, 0o755)
    let shown = ''
    // Nothing of somebody's real server may be touched: neither what the environment names nor what a file here does.
    const real = { database: { url: 'postgres://nobody@127.0.0.1:1/none' }, sealing: { keyring: { path: 'keyring' } } }
    await writeFile(join(folder, 'lethe.yaml'), JSON.stringify(real))
    const env = {
      PATH: process.env['PATH'],
      TMPDIR: folder,
      LETHE_LISTEN__PORT: '0',
      LETHE_METRICS__ENABLED: 'false',
      LETHE_DATABASE__HOST: '127.0.0.1',
      LETHE_DATABASE__PORT: '1',
      LETHE_SEALING__KEYRING__PATH: join(folder, 'other-keyring'),
      LETHE_DATA_DIR: join(folder, 'data'),
      LETHE_CONFIG: join(folder, 'lethe.yaml'),
    }
    child = spawn(process.execPath, [main, 'try'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout?.on('data', text => (shown += String(text)))
    child.stderr?.on('data', text => (shown += String(text)))
    for (let tries = 0; tries < 3_000 && !/\/join\/\S+\n/.test(shown) && child.exitCode === null; tries++)
      await sleep(20)
    const [, url = '', name] = /listening on (http:\/\/127\.0\.0\.1:\d+), as (\S+)\./.exec(shown) ?? []
    expect([url !== '', name, shown]).toEqual([true, 'localhost', shown])
    const link = /(http:\/\/127\.0\.0\.1:\d+\/join\/\S+)/.exec(shown)?.[1] ?? ''
    expect((await exchange(url, { method: 'GET', target: new URL(link).pathname })).status).toBe(200)
    expect(shown).toContain('A trial does without LETHE_CONFIG, LETHE_DATABASE__HOST,')
    expect((await readdir(folder)).filter(name => !/^lethe-(try-)?\w{6}$/.test(name))).toEqual(['lethe.yaml'])
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(await readdir(folder)).toEqual(['lethe.yaml'])
  }, 120_000)
})
