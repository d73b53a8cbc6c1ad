import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { headerLimitBytes } from '../../src/http/mount.ts'
import { endpoint } from '../../src/http/endpoint.ts'
import { exchange } from '../harness/exchange.ts'
import { RawConnection } from '../harness/raw-connection.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const endpoints = [
  endpoint({ method: 'GET', path: '/_matrix/limited', auth: 'none', limit: 'anonymous', handle: () => ({}) }),
  endpoint({ method: 'GET', path: '/_matrix/free', auth: 'none', limit: null, handle: () => ({}) }),
]

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({
    endpoints,
    loops: [],
    settings: {
      rate_limits: { enabled: true, anonymous: { per_second: 0.5, burst: 2 } },
      trusted_proxies: ['127.0.0.1'],
    },
  })
})

afterAll(() => server.close())

const ask = (path: string, from: string) =>
  exchange(server.url, { method: 'GET', target: `/_matrix/${path}`, headers: { 'X-Forwarded-For': from } })

describe('a rate limit', () => {
  it('lets a burst through, then says when to come back', async () => {
    expect((await ask('limited', '203.0.113.1')).status).toBe(200)
    expect((await ask('limited', '203.0.113.1')).status).toBe(200)
    const refused = await ask('limited', '203.0.113.1')
    expect(refused.status).toBe(429)
    expect(refused.json).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 2_000 })
    expect(refused.headers).toMatchObject({ 'retry-after': '2' })
    await server.clock.advance(2_000)
    expect((await ask('limited', '203.0.113.1')).status).toBe(200)
    expect((await ask('limited', '203.0.113.1')).status).toBe(429)
  })

  it('counts each address for itself', async () => {
    expect((await ask('limited', '203.0.113.2')).status).toBe(200)
    expect((await ask('limited', '203.0.113.2')).status).toBe(200)
    expect((await ask('limited', '203.0.113.2')).status).toBe(429)
    expect((await ask('limited', '203.0.113.3')).status).toBe(200)
  })

  it('does not fall on endpoints that have none', async () => {
    for (let times = 0; times < 10; times++) expect((await ask('free', '203.0.113.4')).status).toBe(200)
  })
})

describe('what Node cannot read as a request', () => {
  async function answerTo(request: string): Promise<string> {
    const raw = await RawConnection.open(server.url)
    raw.write(request)
    return raw.untilClosed()
  }

  it.each([
    ['nonsense', 'nonsense\r\n\r\n', 400],
    ['two lengths', 'POST /_matrix/free HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    [
      'a length and chunks',
      'POST /_matrix/free HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['headers without end', `GET /_matrix/free HTTP/1.1\r\nX: ${'x'.repeat(headerLimitBytes)}\r\n\r\n`, 431],
  ])('is refused in JSON: %s', async (_, request, status) => {
    const answer = await answerTo(request)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    const [, body = ''] = answer.split('\r\n\r\n')
    expect(JSON.parse(body)).toMatchObject({ errcode: expect.any(String), error: expect.any(String) })
  })

  it('leaves the server as it was', async () => {
    expect((await ask('free', '203.0.113.5')).status).toBe(200)
  })
})
