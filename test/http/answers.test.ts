import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { Readable } from 'node:stream'
import { DatabaseError } from '../../src/storage/database.ts'
import { MatrixError } from '../../src/errors.ts'
import { endpoint, jsonReply, jsonText, Reply, type RequestEnd } from '../../src/http/endpoint.ts'
import { createLogger } from '../../src/log.ts'
import { exchange } from '../harness/exchange.ts'
import { RawConnection } from '../harness/raw-connection.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const seen: RequestEnd[] = []
/** What listeners that were taken back heard. */
const heard: string[] = []
const get = (path: string, handle: Parameters<typeof endpoint>[0]['handle']) =>
  endpoint({ method: 'GET', path: `/_matrix/${path}`, auth: 'none', limit: null, handle })

function failingStream(): Readable {
  let sent = 0
  return new Readable({
    read() {
      sent += 1
      if (sent <= 3) this.push(Buffer.alloc(100_000, 'x'))
      else this.destroy(new Error('the disk is gone'))
    },
  })
}

const endpoints = [
  get('object', () => ({ text: 'é' })),
  get('text', () => jsonText('{"ready":true}')),
  get('created', () => jsonReply(201, { made: true })),
  get(
    'bytes',
    () => new Reply(Buffer.from([1, 2, 3]), { headers: { 'Content-Type': 'image/png', 'cache-control': 'private' } }),
  ),
  get('nothing', () => new Reply(null, { status: 204 })),
  get('redirect', () => new Reply(null, { status: 307, headers: { Location: 'https://elsewhere.example.org/' } })),
  get(
    'stream',
    () =>
      new Reply(Readable.from([Buffer.from('one '), Buffer.from('two')]), {
        headers: { 'Content-Type': 'text/plain' },
      }),
  ),
  get('broken-stream', () => new Reply(failingStream(), { headers: { 'Content-Type': 'text/plain' } })),
  get('refused', () => {
    throw new MatrixError('M_LIMIT_EXCEEDED', 'Slowly', {
      fields: { retry_after_ms: 5 },
      headers: { 'Retry-After': '1' },
    })
  }),
  get('fault', () => {
    throw new Error('the secret is swordfish')
  }),
  get('thrown-text', () => Promise.reject('swordfish')),
  get(
    'bad-header',
    () => new Reply('x', { headers: { 'Content-Disposition': 'inline; filename=a\r\nSet-Cookie: b' } }),
  ),
  get('database-away', () => Promise.reject(new DatabaseError('57P01', null, null))),
  get('database-fault', () => Promise.reject(new DatabaseError('22021', null, null))),
  get('waits', async (_, { end }) => {
    seen.push(end)
    await new Promise<void>(resolve => {
      end.listen(() => heard.push('the end'))()
      end.listen(resolve)
    })
    return { waited: true }
  }),
]

let server: TestServer
let lines: string[]

beforeAll(async () => {
  lines = []
  const logger = createLogger('debug', { write: line => lines.push(line) })
  server = await startTestServer({ endpoints, loops: [], logger })
})

afterEach(() => {
  lines.length = 0
})

afterAll(() => server.close())

const ask = (path: string) => exchange(server.url, { method: 'GET', target: `/_matrix/${path}` })

describe('an answer', () => {
  it('is JSON with its length in bytes', async () => {
    const done = await ask('object')
    expect(done.json).toEqual({ text: 'é' })
    expect(done.headers).toMatchObject({ 'content-type': 'application/json', 'content-length': '13' })
  })

  it('may be text that is JSON already, or have another status', async () => {
    expect((await ask('text')).json).toEqual({ ready: true })
    expect(await ask('created')).toMatchObject({ status: 201, json: { made: true } })
  })

  it('may be bytes, whose headers replace the general ones', async () => {
    const done = await ask('bytes')
    expect([...done.bytes]).toEqual([1, 2, 3])
    expect(done.headers).toMatchObject({
      'content-type': 'image/png',
      'cache-control': 'private',
      'content-length': '3',
    })
  })

  it('may be nothing', async () => {
    const done = await ask('nothing')
    expect(done.status).toBe(204)
    expect(done.headers).not.toHaveProperty('content-length')
    expect(await ask('redirect')).toMatchObject({
      status: 307,
      headers: { location: 'https://elsewhere.example.org/' },
    })
  })

  it('may be a stream', async () => {
    expect((await ask('stream')).bytes.toString()).toBe('one two')
  })

  it('never looks whole when its stream broke off', async () => {
    await expect(ask('broken-stream')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await ask('object')).status).toBe(200)
  })
})

describe('a refusal', () => {
  it('has its code, its words, its fields and its headers', async () => {
    const done = await ask('refused')
    expect(done.status).toBe(429)
    expect(done.json).toEqual({ errcode: 'M_LIMIT_EXCEEDED', error: 'Slowly', retry_after_ms: 5 })
    expect(done.headers).toMatchObject({ 'retry-after': '1', 'access-control-expose-headers': 'Retry-After' })
  })
})

describe('a fault', () => {
  it.each([['fault'], ['thrown-text'], ['bad-header'], ['database-fault']])(
    'says nothing of itself: %s',
    async path => {
      const done = await ask(path)
      expect(done.status).toBe(500)
      expect(done.json).toEqual({ errcode: 'M_UNKNOWN', error: 'Internal server error' })
      expect(lines.join('')).not.toContain('swordfish')
      expect(lines.join('')).toContain('A request failed')
    },
  )

  it('of a database that is away asks the client to try again', async () => {
    const done = await ask('database-away')
    expect(done).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(done.json).toMatchObject({ errcode: 'M_UNKNOWN' })
  })
})

describe('the log of requests', () => {
  it('says which endpoint answered what, and nothing of what was asked', async () => {
    await ask('object?secret=swordfish')
    await ask('swordfish')
    const entries = lines.map(line => JSON.parse(line) as Record<string, unknown>)
    expect(entries).toEqual([
      { level: 20, time: expect.any(String), endpoint: '/_matrix/object', method: 'GET', status: 200, durationMs: expect.any(Number), msg: 'Answered' },
      { level: 30, time: expect.any(String), endpoint: 'unmatched', method: 'any', status: 404, durationMs: expect.any(Number), errcode: 'M_UNRECOGNIZED', msg: 'Refused' },
    ]) // prettier-ignore
  })
})

describe('the end of a request', () => {
  it('is when the client goes away', async () => {
    seen.length = 0
    const raw = await RawConnection.open(server.url)
    raw.write('GET /_matrix/waits HTTP/1.1\r\nHost: a\r\n\r\n')
    await raw.until(() => seen.length === 1)
    expect(seen[0]?.isOver).toBe(false)
    raw.close()
    await raw.until(() => seen[0]?.isOver === true)
    expect(heard).toEqual([])
  })

  it('is when the server drains, and the request is answered', async () => {
    seen.length = 0
    const draining = await startTestServer({ endpoints, loops: [] })
    const waiting = exchange(draining.url, { method: 'GET', target: '/_matrix/waits' })
    const raw = await RawConnection.open(draining.url)
    await raw.until(() => seen.length === 1)
    await draining.close()
    expect(await waiting).toMatchObject({ status: 200, json: { waited: true }, headers: { connection: 'close' } })
    await raw.untilClosed()
  })
})
