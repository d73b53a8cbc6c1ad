import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exchange } from '../harness/exchange.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { objectsAt } from '../harness/people.ts'
import { lethe, type Ran, writeSettings } from '../backup/lethe.ts'
import { type Faults, Proxy } from './proxy.ts'

const patienceMs = 240_000
const uploadLimit = 2_000_000

let on: { readonly database: TestDatabase; readonly dataDir: string }
let server: TestServer
let good: Proxy
let settings: string
const opened: Proxy[] = []

const settingsOf = (publicUrl: string, more: JsonObject = {}) => ({
  public_base_url: publicUrl,
  media: { max_upload_bytes: uploadLimit },
  // The proxy comes from there; whoever comes through it, from 127.0.0.1.
  trusted_proxies: ['127.0.0.2'],
  support: { contacts: [{ email_address: 'help@lethe.test' }] },
  ...more,
})

beforeAll(async () => {
  on = { database: await testDatabase(), dataDir: await mkdtemp(join(tmpdir(), 'lethe-test-doctor-')) }
  // The proxy comes first: the server says where clients find it.
  good = await Proxy.start(() => server.url)
  server = await startTestServer({ on, loops: [], clock: 'system', settings: { ...settingsOf(good.url), rate_limits: { enabled: true } } as never }) // prettier-ignore
  settings = await writeSettings(on.dataDir, on.database.url, settingsOf(good.url))
  expect((await lethe(settings, ['user', 'create', 'boss', '--admin'])).code).toBe(0)
}, patienceMs)
afterEach(async () => {
  for (const proxy of opened.splice(0)) await proxy.close()
})
afterAll(async () => {
  await good?.close()
  await server?.close()
  await on?.database.drop()
  await rm(on.dataDir, { recursive: true, force: true })
})

const faultsOf = ({ json }: Ran) => objectsAt(json, 'checks').flatMap(check => (check['ok'] === true ? [] : [check['fault']])) // prettier-ignore
/** The database of the tests forces nothing to the disk, and says so. */
const ofLethe = (ran: Ran) => faultsOf(ran).filter(fault => fault !== null)

async function behind(faults: Faults): Promise<Ran> {
  const proxy = await Proxy.start(() => server.url, faults)
  opened.push(proxy)
  return lethe(settings, ['doctor', '--url', proxy.url])
}

describe('lethe doctor, from the outside', () => {
  it(
    'finds nothing amiss behind a good proxy',
    async () => {
      const ran = await lethe(settings, ['doctor', '--url', good.url])
      expect([ofLethe(ran), ran.err]).toEqual([[], ''])
      const seen = new Set(objectsAt(ran.json, 'checks').map(check => check['check']))
      for (const name of ['address', 'well-known', 'paths', 'uploads', 'long polls', 'forwarded addresses']) {
        expect([name, seen.has(name)]).toEqual([name, true])
      }
      const left = await server.ctx.db.pool.query('SELECT FROM doctor_probes')
      expect(left.rows).toEqual([])
    },
    patienceMs,
  )

  it.each<[string, Faults, string[]]>([
    ['changes paths', { changesPaths: true, answerTimeoutMs: 2_000 }, ['pathsChanged', 'pollsCut']],
    ['takes small bodies only', { bodyLimitBytes: uploadLimit - 1, answerTimeoutMs: 2_000 }, ['uploadTooSmall', 'pollsCut']],
    ['spoils well-known files', { spoilsWellKnown: true, answerTimeoutMs: 2_000 }, ['wellKnownType', 'wellKnownType', 'pollsCut']],
    ['passes forged addresses on', { passesForwarded: true, answerTimeoutMs: 2_000 }, ['pollsCut', 'forgedAddress']],
    ['adds a header that is there', { addsCors: true, answerTimeoutMs: 2_000 }, ['twoCors', 'wellKnownCors', 'wellKnownCors', 'pollsCut']],
  ])('finds out that a proxy %s, and says what to do', async (_, faults, expected) => {
    const ran = await behind(faults)
    expect(ofLethe(ran)).toEqual(expected)
    expect(ran.code).toBe(1)
    for (const check of objectsAt(ran.json, 'checks')) {
      expect([check['message'], typeof check['fix'] === 'string']).toEqual([check['message'], check['ok'] === false])
    }
  }, patienceMs) // prettier-ignore

  it(
    'finds out that nobody, or somebody else, answers',
    async () => {
      expect(ofLethe(await lethe(settings, ['doctor', '--url', 'http://127.0.0.1:1']))).toEqual(['unreachable'])
      const other = await startTestServer({ loops: [] })
      expect(ofLethe(await lethe(settings, ['doctor', '--url', other.url]))).toEqual(['notThisServer'])
      await other.close()
    },
    patienceMs,
  )

  it(
    'says that it cannot tell who is believed, on a machine that is trusted itself',
    async () => {
      const trusted = await writeSettings(on.dataDir, on.database.url, settingsOf(good.url, { trusted_proxies: ['127.0.0.0/8'] })) // prettier-ignore
      const proxy = await Proxy.start(() => server.url, { answerTimeoutMs: 2_000, passesForwarded: true })
      opened.push(proxy)
      const ran = await lethe(trusted, ['doctor', '--url', proxy.url])
      expect(ofLethe(ran)).toEqual(['pollsCut'])
      expect(objectsAt(ran.json, 'checks').find(check => check['check'] === 'forwarded addresses')).toMatchObject({ ok: true, message: expect.stringMatching(/cannot be told/) }) // prettier-ignore
    },
    patienceMs,
  )

  it('lets nobody without its secret probe', async () => {
    for (const secret of ['x', 'ltd_0000000000000000000000000000000000000000000_000000']) {
      for (const [method, what] of [['GET', 'address'], ['GET', 'hold?timeout=30000'], ['POST', 'upload']] as const) {
        const target = `/_matrix/client/unstable/org.lethe.probe/${secret}/${what}`
        const done = await exchange(server.url, { method, target, body: method === 'POST' ? Buffer.from('x') : undefined })
        expect([what, done.status]).toEqual([what, 404])
      }
    }
  }) // prettier-ignore
})

describe('lethe doctor, on the machine', () => {
  const look = (more: JsonObject = {}, parameters: readonly string[] = []) =>
    writeSettings(on.dataDir, on.database.url, { ...settingsOf(good.url), ...more }).then(file =>
      lethe(file, ['doctor', '--offline', ...parameters]),
    )

  it(
    'finds what is unsafe in the settings',
    async () => {
      expect(ofLethe(await look())).toEqual([])
      const ran = await look({
        registration: { mode: 'open', i_know_open_is_unsafe: true },
        admin: { on_public_listener: true, content_access: true },
        rate_limits: { enabled: false },
        trusted_proxies: ['0.0.0.0/0'],
      })
      expect(ofLethe(ran)).toEqual([
        'openRegistration',
        'adminsPublic',
        'contentAccess',
        'noLimits',
        'everybodyTrusted',
      ])
      expect(ofLethe(await look({ public_base_url: 'https://lethe.test', trusted_proxies: [] }))).toEqual(['noProxyTrusted']) // prettier-ignore
    },
    patienceMs,
  )

  it(
    'finds keys that are open to others, missing, damaged or another’s, and changes none',
    async () => {
      const keyring = server.config.sealing.keyring.path
      const signingKey = join(on.dataDir, 'signing.key')
      await chmod(keyring, 0o644)
      await chmod(signingKey, 0o640)
      expect(ofLethe(await look())).toEqual(['signingKeyOpen', 'keyringOpen'])
      await chmod(signingKey, 0o600)
      const bytes = await readFile(keyring)
      await rename(keyring, `${keyring}.away`)
      expect(ofLethe(await look())).toEqual(['keyringMissing'])
      await writeFile(keyring, bytes.subarray(1), { mode: 0o600 })
      expect(ofLethe(await look())).toEqual(['keyringBad'])
      await rename(`${keyring}.away`, keyring)
      await chmod(keyring, 0o600)
      await rename(signingKey, `${signingKey}.away`)
      await writeFile(signingKey, 'ed25519 nonsense\n', { mode: 0o600 })
      expect(ofLethe(await look())).toEqual(['signingKeyBad'])
      await rename(`${signingKey}.away`, signingKey)
      expect(ofLethe(await look())).toEqual([])
      expect((await readFile(keyring)).length).toBe(bytes.length)
    },
    patienceMs,
  )

  it(
    'finds a database that is away, another’s, empty, or from another version, and a folder that cannot be written',
    async () => {
      const away = await writeSettings(on.dataDir, 'postgres://nobody@127.0.0.1:1/none')
      expect(ofLethe(await lethe(away, ['doctor', '--offline']))).toEqual(['databaseAway'])
      const empty = await testDatabase({ empty: true })
      const onEmpty = await writeSettings(on.dataDir, empty.url)
      expect(ofLethe(await lethe(onEmpty, ['doctor', '--offline']))).toEqual(['noServer'])
      await empty.drop()
      expect(ofLethe(await look({ server_name: 'other.test' }))).toEqual(['otherServer'])
      const blocked = join(on.dataDir, 'a-file')
      await writeFile(blocked, '')
      expect(ofLethe(await look({ media: { store: { path: join(blocked, 'media') } } }))).toEqual(['mediaUnwritable'])
      await server.ctx.db.pool.query(`UPDATE schema_migrations SET name = '9999_future' WHERE name = '0006_log_epochs'`)
      expect(ofLethe(await look())).toEqual(['schemaForeign'])
      await server.ctx.db.pool.query(`DELETE FROM schema_migrations WHERE name = '9999_future'`)
      expect(ofLethe(await look())).toEqual(['schemaBehind'])
    },
    patienceMs,
  )
})
