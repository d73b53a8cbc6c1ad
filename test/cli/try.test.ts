import { afterEach, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
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
    // The address of somebody's real database must not be touched.
    const env = {
      PATH: process.env['PATH'],
      TMPDIR: folder,
      LETHE_LISTEN__PORT: '0',
      LETHE_METRICS__ENABLED: 'false',
      LETHE_DATABASE__URL: 'postgres://nobody@127.0.0.1:1/none',
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
    expect(await readdir(folder)).not.toEqual([])
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(await readdir(folder)).toEqual([])
  }, 120_000)
})
