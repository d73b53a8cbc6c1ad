import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exchange } from '../harness/exchange.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ settings: { metrics: { enabled: true, port: 0 } } })
})

afterAll(() => server.close())

const operations = (target: string) => exchange(server.metricsUrl ?? '', { method: 'GET', target })

describe('the listener for operators', () => {
  it('counts requests by endpoint, never by what was asked for', async () => {
    await exchange(server.url, { method: 'GET', target: '/_matrix/client/versions?swordfish' })
    await exchange(server.url, { method: 'GET', target: '/_matrix/client/v3/profile/@swordfish:lethe.test/swordfish' })
    await exchange(server.url, { method: 'GET', target: '/swordfish' })
    const metrics = await operations('/metrics')
    const text = metrics.bytes.toString()
    expect(metrics.headers['content-type']).toMatch(/^text\/plain/)
    expect(text).toContain('lethe_http_requests_total{endpoint="/_matrix/client/versions",method="GET",status="2xx"} 1')
    expect(text).toContain('lethe_http_requests_total{endpoint="unmatched",method="any",status="4xx"}')
    expect(text).toMatch(
      /lethe_http_request_duration_seconds_count\{endpoint="\/_matrix\/client\/versions",method="GET"\} 1/,
    )
    expect(text).toMatch(/^lethe_log_head \d+$/m)
    expect(text).toContain('nodejs_eventloop_lag_seconds')
    expect(text).not.toContain('swordfish')
    // To count the open files and handles takes the longer, the more clients wait.
    expect(text).not.toMatch(/process_open_fds|nodejs_active_/)
  })

  it('tells whether the process lives and whether it is ready', async () => {
    expect(await operations('/health/live')).toMatchObject({ status: 200, json: { status: 'ok' } })
    expect(await operations('/health/ready')).toMatchObject({ status: 200, json: { status: 'ok' } })
    expect((await operations('/_matrix/client/versions')).status).toBe(404)
  })

  it('has nothing that the listener for clients shows', async () => {
    expect((await exchange(server.url, { method: 'GET', target: '/metrics' })).status).toBe(404)
    expect((await exchange(server.url, { method: 'GET', target: '/health/live' })).status).toBe(200)
    expect((await exchange(server.url, { method: 'GET', target: '/health/ready' })).status).toBe(200)
  })
})

describe('a server without its database', () => {
  it('lives and is not ready', async () => {
    const alone = await startTestServer({ settings: { metrics: { enabled: true, port: 0 } } })
    await alone.database.drop()
    const ready = await exchange(alone.metricsUrl ?? '', { method: 'GET', target: '/health/ready' })
    expect(ready).toMatchObject({ status: 503, json: { status: 'unavailable' } })
    const public_ = await exchange(alone.url, { method: 'GET', target: '/health/ready' })
    expect(public_.status).toBe(503)
    expect((await exchange(alone.metricsUrl ?? '', { method: 'GET', target: '/health/live' })).status).toBe(200)
    await alone.close()
  })
})
