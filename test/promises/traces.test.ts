import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLogger } from '../../src/log.ts'
import { exchange, type ExchangeRequest } from '../harness/exchange.ts'
import { path, type Person, register } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const address = '2001:db8:5ca1:ab1e:c0ff:ee00:dead:beef'
const agent = 'TraceAgent/7.7 (canary)'
/** What would give the address or the agent away, in whatever form it was kept. */
const traces = {
  address,
  'the network of the address': '2001:db8:5ca1',
  'the bytes of the address': address.split(':').map(group => group.padStart(4, '0')).join(''),
  agent: 'TraceAgent',
  'the bytes of the agent': Buffer.from('TraceAgent').toString('hex'),
} // prettier-ignore
const marked = {
  'X-Forwarded-For': address,
  'User-Agent': agent,
  'X-Real-IP': address,
  Forwarded: `for="[${address}]"`,
}

const lines: string[] = []
let server: TestServer
let alice: Person
let room: string
let eventId: string

beforeAll(async () => {
  server = await startTestServer({
    // The lowest level says everything that any other does.
    logger: createLogger('trace', { write: line => lines.push(line) }),
    settings: { metrics: { enabled: true, port: 0 }, trusted_proxies: ['127.0.0.1'], rate_limits: { enabled: true } },
  })
  alice = await register(server)
  room = await alice.createRoom({ preset: 'public_chat' })
  eventId = await alice.send(room, 'canary-message')
  // Some of what comes in breaks the database's own rules: the server does not expect it, and fails.
  await server.ctx.db.pool.query(`ALTER TABLE profiles ADD CONSTRAINT breaks CHECK (key NOT LIKE '%breaking%')`)
})
afterAll(() => server.close())

let turn = 0
/** Requests of every kind that people make, and that others make of them: right ones, wrong ones, and such as fail. */
function mixed(): Omit<ExchangeRequest, 'headers'> {
  turn += 1
  const token = alice.accessToken
  const client = '/_matrix/client/v3'
  const kinds: Omit<ExchangeRequest, 'headers'>[] = [
    { method: 'GET', target: `${client}/sync?timeout=0`, token },
    { method: 'PUT', target: client + path`/rooms/${room}/send/m.room.message/${`t${turn}`}`, token, body: { body: 'canary-message' } },
    { method: 'POST', target: client + path`/rooms/${room}/receipt/m.read/${eventId}`, token, body: {} },
    { method: 'POST', target: `${client}/login`, body: { type: 'm.login.password', user: alice.userId, password: 'canary-password' } },
    { method: 'POST', target: `${client}/register`, body: { username: `canary${turn}` } },
    { method: 'GET', target: `${client}/account/whoami`, token: 'canary-token' },
    { method: 'POST', target: '/_matrix/media/v3/upload?filename=canary.txt', token, body: 'canary-bytes' },
    { method: 'PUT', target: client + path`/profile/${alice.userId}/org.canary.breaking`, token, body: { 'org.canary.breaking': 'canary' } },
    { method: 'POST', target: `${client}/createRoom`, token, body: '{"name":' },
    { method: 'GET', target: client + path`/rooms/${'!canary-room:lethe.test'}/messages?dir=b`, token },
    { method: 'GET', target: '/canary-path?canary-query=1', token },
    { method: 'POST', target: '/recover', body: 'canary-form' },
    { method: 'GET', target: client + path`/user_directory/search`, token },
    { method: 'POST', target: `${client}/keys/query`, token, body: { device_keys: { [alice.userId]: [] } } },
  ] // prettier-ignore
  return kinds[turn % kinds.length] ?? { method: 'GET', target: '/' }
}

const statuses = new Map<number, number>()
async function make(count: number): Promise<void> {
  for (let made = 0; made < count; made += 10) {
    const done = await Promise.all(
      Array.from({ length: 10 }, () => exchange(server.url, { ...mixed(), headers: marked })),
    )
    for (const { status } of done) statuses.set(status, (statuses.get(status) ?? 0) + 1)
    // The bucket of the sends must not stay empty.
    await server.clock.advance(1_000)
  }
}

async function metrics(): Promise<string> {
  return (await exchange(server.metricsUrl ?? '', { method: 'GET', target: '/metrics' })).bytes.toString()
}

async function filesIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  return (await Promise.all(files.map(file => readFile(file, 'latin1')))).join('\n')
}

describe('promise 12: we never store or log your IP address or user agent', () => {
  it('holds after 500 requests of all kinds, failures among them', async () => {
    await make(500)
    // It must have been everything: answers, refusals, limits, and failures of our own.
    expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 429, 500]))
    expect(lines.length).toBeGreaterThan(500)
    expect(await tablesThatHold(server.ctx.db, traces)).toEqual({})
    const elsewhere = [lines.join(''), await metrics(), await filesIn(server.config.dataDir)].join('\n').toLowerCase()
    for (const trace of Object.values(traces)) expect(elsewhere).not.toContain(trace.toLowerCase())
  }, 120_000)

  it('would have been seen to be broken', async () => {
    await server.ctx.db.pool.query('CREATE TABLE visits (agent bytea, address inet)')
    await server.ctx.db.pool.query('INSERT INTO visits VALUES ($1, $2)', [Buffer.from(agent), address])
    const found = await tablesThatHold(server.ctx.db, traces)
    await server.ctx.db.pool.query('DROP TABLE visits')
    expect(Object.keys(found)).toEqual(expect.arrayContaining(['address', 'the bytes of the agent']))
  })
})

describe('promise 13: logs contain no user, room or event ID, content, token or query string', () => {
  it('holds at the most talkative level, with faults', async () => {
    await make(50)
    const text = lines.join('').toLowerCase()
    // The fault was logged, with its class and code and nothing that hung on it.
    expect(lines.some(line => line.includes('DatabaseError') && line.includes('23514'))).toBe(true)
    const secrets = [
      alice.userId,
      alice.deviceId,
      alice.accessToken,
      room,
      eventId,
      'canary',
      'displayname',
      'breaking',
    ]
    for (const secret of secrets) expect([secret, text.includes(secret.toLowerCase())]).toEqual([secret, false])
    const keys = new Set(lines.flatMap(line => Object.keys(JSON.parse(line) as object)))
    const allowed = ['level', 'time', 'msg', 'endpoint', 'method', 'status', 'errcode', 'durationMs', 'error', 'code', 'stack', 'component', 'count', 'total', 'port'] // prettier-ignore
    expect([...keys].filter(key => !allowed.includes(key))).toEqual([])
  }, 60_000)

  it.each(['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const)(
    'at %s drops what no field is meant for',
    level => {
      const written: string[] = []
      const logger = createLogger(level, { write: line => written.push(line) })
      // A field that the type forbids, as it would come from code that the compiler did not see.
      const fields = { userId: '@canary:lethe.test', body: 'canary', code: '23505' } as object
      logger.error('A sentence', fields)
      logger.debug('A sentence', fields)
      expect(written.join('')).not.toContain('canary')
      expect(written).toHaveLength({ trace: 2, debug: 2, info: 1, warn: 1, error: 1, fatal: 0 }[level])
    },
  )
})
