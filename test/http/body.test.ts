import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { text as readText } from 'node:stream/consumers'
import Type from 'typebox'
import { bodyTimeoutMs, uploadCheckMs } from '../../src/http/body.ts'
import { endpoint, Reply } from '../../src/http/endpoint.ts'
import { type ExchangeRequest, exchange } from '../harness/exchange.ts'
import { RawConnection } from '../harness/raw-connection.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const open = Type.Object({ name: Type.Optional(Type.String()) })
let uploaded = 0
const handle = (_: unknown, { body }: { body: object }) => ({ keys: Object.keys(body) })
const endpoints = [
  endpoint({ method: 'POST', path: '/_matrix/open', auth: 'none', limit: null, body: open, handle }),
  endpoint({ method: 'POST', path: '/_matrix/small', auth: 'none', limit: null, body: open, bodyLimitBytes: 1_000, handle }), // prettier-ignore
  endpoint({ method: 'POST', path: '/_matrix/event', auth: 'none', limit: null, body: open, canonicalBody: true, handle }), // prettier-ignore
  endpoint({ method: 'POST', path: '/_matrix/needed', auth: 'none', limit: null, body: Type.Object({ name: Type.String() }), handle }), // prettier-ignore
  endpoint({ method: 'POST', path: '/_matrix/none', auth: 'none', limit: null, handle: () => ({}) }),
  endpoint({ method: 'POST', path: '/_matrix/closed', auth: 'user', limit: null, body: open, handle }),
  endpoint({
    method: 'POST',
    path: '/_matrix/stream',
    auth: 'none',
    limit: null,
    body: 'stream',
    handle: async (_, { upload }) => {
      upload.stream.on('data', (chunk: Buffer) => (uploaded += chunk.length))
      return new Reply(`${upload.contentType} ${upload.contentLength} ${await readText(upload.stream)}`, {
        headers: { 'Content-Type': 'text/plain' },
      })
    },
  }),
]

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ endpoints, loops: [] })
})

afterAll(() => server.close())

const post = (path: string, body: ExchangeRequest['body'], headers: Record<string, string> = {}) =>
  exchange(server.url, { method: 'POST', target: `/_matrix/${path}`, body, headers })

const codeOf = (done: Awaited<ReturnType<typeof post>>) => [done.status, (done.json as { errcode?: string }).errcode]

describe('a JSON body', () => {
  it.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/json; charset=utf-7'], ['']])(
    'is JSON whatever the Content-Type says: %p',
    async type => {
      const done = await post('open', '{"name":"é"}', type === '' ? {} : { 'Content-Type': type })
      expect(done.json).toEqual({ keys: ['name'] })
    },
  )

  it('keeps keys that mean something to JavaScript', async () => {
    expect((await post('open', '{"__proto__":1,"constructor":2}')).json).toEqual({ keys: ['__proto__', 'constructor'] })
  })

  it('is read when it comes in pieces', async () => {
    const raw = await RawConnection.open(server.url)
    raw.write('POST /_matrix/open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const piece of ['{"na', 'me"', ':"a"}']) raw.write(`${piece.length.toString(16)}\r\n${piece}\r\n`)
    raw.write('0\r\n\r\n')
    await raw.until(received => received.includes('{"keys":["name"]}'))
    raw.close()
  })

  it('may be left out where nothing in it is required', async () => {
    expect((await post('open', undefined)).status).toBe(200)
    expect((await post('open', '')).status).toBe(200)
    expect(codeOf(await post('needed', ''))).toEqual([400, 'M_NOT_JSON'])
  })

  it.each([
    ['not JSON', '{"name":', [400, 'M_NOT_JSON']],
    ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), [400, 'M_NOT_JSON']],
    ['UTF-16', Buffer.from('{"name":"a"}', 'utf16le'), [400, 'M_NOT_JSON']],
    ['NaN', '{"name":NaN}', [400, 'M_NOT_JSON']],
    ['a list', '[{"name":"a"}]', [400, 'M_BAD_JSON']],
    ['null', 'null', [400, 'M_BAD_JSON']],
    ['of the wrong type', '{"name":1}', [400, 'M_BAD_JSON']],
    ['a lone surrogate', '{"name":"\\ud800"}', [400, 'M_BAD_JSON']],
    ['a number beyond a double', '{"other":1e400}', [400, 'M_BAD_JSON']],
    ['too deep', `{"other":${'['.repeat(100)}${']'.repeat(100)}}`, [400, 'M_BAD_JSON']],
  ])('is refused when it is %s', async (_, body, expected) => {
    expect(codeOf(await post('open', body))).toEqual(expected)
  })

  it('may be as deep as the limit', async () => {
    expect((await post('open', `{"other":${'['.repeat(99)}${']'.repeat(99)}}`)).status).toBe(200)
  })

  it('may hold fractions, but not where it becomes an event', async () => {
    expect((await post('open', '{"other":1.5}')).status).toBe(200)
    expect(codeOf(await post('event', '{"other":1.5}'))).toEqual([400, 'M_BAD_JSON'])
    expect(codeOf(await post('event', '{"other":9007199254740993}'))).toEqual([400, 'M_BAD_JSON'])
  })

  it('names the parameter that is missing', async () => {
    expect(codeOf(await post('needed', '{}'))).toEqual([400, 'M_MISSING_PARAM'])
  })

  it.each([['gzip'], ['br'], ['x-unknown']])('is refused when it is compressed: %s', async encoding => {
    expect((await post('open', 'x', { 'Content-Encoding': encoding })).status).toBe(415)
  })
})

describe('a body that is too long', () => {
  it('is refused, announced or not, and the client gets to see that', async () => {
    expect((await post('small', JSON.stringify({ name: 'x'.repeat(980) }))).status).toBe(200)
    expect(codeOf(await post('small', JSON.stringify({ name: 'x'.repeat(1_000) })))).toEqual([413, 'M_TOO_LARGE'])
    expect(codeOf(await post('open', 'x'.repeat(3_000_000)))).toEqual([413, 'M_TOO_LARGE'])
    const chunked = await post('small', 'x'.repeat(200_000), { 'Transfer-Encoding': 'chunked' })
    expect(codeOf(chunked)).toEqual([413, 'M_TOO_LARGE'])
  })

  it('is not read on for ever', async () => {
    const raw = await RawConnection.open(server.url)
    raw.write('POST /_matrix/small HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n')
    const answer = await raw.until(received => received.includes('M_TOO_LARGE'))
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    const piece = Buffer.alloc(1024 * 1024, 'x')
    for (let sent = 0; sent < 40 && !raw.isClosed; sent++) raw.write(piece)
    await raw.untilClosed()
  })

  it('does not keep the connection when nobody may send it', async () => {
    const raw = await RawConnection.open(server.url)
    raw.write('POST /_matrix/closed HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{')
    const answer = await raw.until(received => received.includes('M_MISSING_TOKEN'))
    expect(answer.toLowerCase()).toContain('connection: close')
    raw.close()
  })
})

describe('a slow body', () => {
  it('is waited for a minute', async () => {
    const raw = await RawConnection.open(server.url)
    await raw.until(() => server.clock.pending === 0)
    raw.write('POST /_matrix/open HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{')
    await raw.until(() => server.clock.pending === 1)
    await server.clock.advance(bodyTimeoutMs)
    expect(await raw.until(received => received.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 408 /)
    raw.close()
  })

  it('is forgotten when the client goes away', async () => {
    const raw = await RawConnection.open(server.url)
    await raw.until(() => server.clock.pending === 0)
    raw.write('POST /_matrix/open HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{')
    await raw.until(() => server.clock.pending === 1)
    raw.close()
    await raw.until(() => server.clock.pending === 0)
    expect((await post('open', '{}')).status).toBe(200)
  })
})

describe('a client that waits for 100 (Continue)', () => {
  it('is told to go on when its body is wanted', async () => {
    const raw = await RawConnection.open(server.url)
    raw.write('POST /_matrix/open HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    await raw.until(received => received.startsWith('HTTP/1.1 100 '))
    raw.write('{}')
    await raw.until(received => received.includes('{"keys":[]}'))
    raw.close()
  })

  it('is refused before it has sent anything', async () => {
    const raw = await RawConnection.open(server.url)
    raw.write('POST /_matrix/closed HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500000\r\n\r\n')
    expect(await raw.until(received => received.includes('M_MISSING_TOKEN'))).toMatch(/^HTTP\/1\.1 401 /)
    raw.close()
  })
})

describe('a raw upload', () => {
  it('reaches the handler untouched', async () => {
    const done = await post('stream', 'not {json', { 'Content-Type': 'image/png' })
    expect(done.bytes.toString()).toBe('image/png 9 not {json')
  })
})

describe('an upload that hardly moves', () => {
  it('is cut off, and a steady one is not', async () => {
    const raw = await RawConnection.open(server.url)
    await raw.until(() => server.clock.pending === 0)
    raw.write('POST /_matrix/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    await raw.until(() => server.clock.pending === 1)
    const before = uploaded
    raw.write('x'.repeat(300_000))
    await raw.until(() => uploaded - before >= 300_000)
    await server.clock.advance(uploadCheckMs)
    raw.write('x'.repeat(1_000))
    await raw.until(() => uploaded - before >= 301_000)
    expect(raw.isClosed).toBe(false)
    await server.clock.advance(uploadCheckMs)
    await raw.untilClosed()
    expect(raw.received).toBe('')
    await raw.until(() => server.clock.pending === 0)
  })
})

describe('an endpoint without a body', () => {
  it('ignores what is sent, and the connection lives on', async () => {
    const raw = await RawConnection.open(server.url)
    const request = 'POST /_matrix/none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n[nope'
    raw.write(request + request)
    await raw.until(received => received.split('HTTP/1.1 200').length === 3)
    raw.close()
  })
})
