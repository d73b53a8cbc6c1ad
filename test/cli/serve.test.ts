import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { exchange } from '../harness/exchange.ts'

const main = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.ts')

let folder: string
let database: TestDatabase
let child: ChildProcess | null = null
let shown = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-cli-'))
  database = await testDatabase()
  shown = ''
})

afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  child = null
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

/** Runs the command line; what it shows is gathered in `shown`. */
async function run(parameters: readonly string[], settings: object): Promise<ChildProcess> {
  const file = join(folder, 'lethe.yaml')
  await writeFile(file, JSON.stringify(settings))
  const started = spawn(process.execPath, [main, ...parameters.map(each => (each === 'FILE' ? file : each))], {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  })
  child = started
  started.stdout.on('data', text => (shown += String(text)))
  started.stderr.on('data', text => (shown += String(text)))
  return started
}

async function untilShown(pattern: RegExp): Promise<RegExpExecArray> {
  for (let tries = 0; tries < 1_000; tries++) {
    const found = pattern.exec(shown)
    if (found) return found
    await sleep(20)
  }
  throw new Error(`did not show ${pattern}: ${shown}`)
}

const settings = () => ({
  data_dir: join(folder, 'data'),
  database: { url: database.url },
  listen: { port: 0 },
  metrics: { enabled: false },
})

describe('lethe serve', () => {
  it('says where it listens, offers the first account, and stops when told', async () => {
    const server = await run(['serve', '--config', 'FILE'], settings())
    const [, url = ''] = await untilShown(/listening on (http:\/\/127\.0\.0\.1:\d+), as localhost/)
    const [, link = ''] = await untilShown(/(http:\/\/127\.0\.0\.1:\d+\/join\/\S+)/)
    expect(link.startsWith(url)).toBe(true)
    const page = await exchange(url, { method: 'GET', target: new URL(link).pathname })
    expect(page.status).toBe(200)
    server.kill('SIGTERM')
    expect(await once(server, 'exit')).toEqual([0, null])
  })

  it('says the same to programs, in one line of JSON', async () => {
    const server = await run(['serve', '--config', 'FILE', '--json'], settings())
    const [line] = await untilShown(/^\{"url".*\}$/m)
    const { url, ...rest } = JSON.parse(line) as { url: string } // What the command promises.
    expect(rest).toEqual({
      admin_url: null,
      server_name: 'localhost',
      first_account: expect.stringMatching(new RegExp(`^${url}/join/ltj_`)) as unknown,
    })
    server.kill('SIGTERM')
    await once(server, 'exit')
  })

  it('takes two signals that come at once for one, as npm sends them', async () => {
    const server = await run(['serve', '--config', 'FILE'], settings())
    await untilShown(/listening on/)
    server.kill('SIGINT')
    server.kill('SIGINT')
    expect(await once(server, 'exit')).toEqual([0, null])
  })

  it('ends at once when it is told again while it waits for requests', async () => {
    const server = await run(['serve', '--config', 'FILE'], settings())
    const [, port = ''] = await untilShown(/listening on http:\/\/127\.0\.0\.1:(\d+)/)
    const slow = connect(Number(port), '127.0.0.1')
    slow.on('error', () => undefined)
    slow.write('POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')
    await sleep(300)
    server.kill('SIGTERM')
    await untilShown(/"msg":"Stopping"/)
    await sleep(700)
    server.kill('SIGTERM')
    expect(await once(server, 'exit')).toEqual([1, null])
    slow.destroy()
  })

  it('says everything that is wrong with its settings', async () => {
    const server = await run(['serve', '--config', 'FILE'], { ...settings(), listen: { port: 99999 }, lisen: {} })
    expect(await once(server, 'exit')).toEqual([4, null])
    expect(shown).toContain('listen.port')
    expect(shown).toContain('lisen')
    expect(shown).not.toContain('    at ')
  })

  it('says when its database does not answer', async () => {
    const server = await run(['serve', '--config', 'FILE'], {
      ...settings(),
      database: { url: 'postgres://nobody@127.0.0.1:1/none' },
    })
    expect(await once(server, 'exit')).toEqual([4, null])
    expect(shown).toMatch(/could not start.*ECONNREFUSED/)
    expect(shown).not.toContain('    at ')
  })

  it('explains itself when it is called wrongly', async () => {
    for (const parameters of [[], ['srve'], ['serve', '--cnfig']]) {
      const called = await run(parameters, settings())
      expect(await once(called, 'exit')).toEqual([2, null])
      expect(shown).toMatch(parameters.length === 0 ? /Usage: lethe/ : /error: unknown (command|option)/)
      shown = ''
    }
  })
})
