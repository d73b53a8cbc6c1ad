import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { routes } from '../../src/api/routes.ts'
import { createLogger } from '../../src/log.ts'
import { exchange } from '../harness/exchange.ts'
import { path, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { loadSpec } from '../harness/spec.ts'
import { fillPath, type PathValues, sampleBody, sampleQuery } from './samples.ts'

/** No word that begins like this may appear in the log, in a metric or in a refusal's words. */
const mark = 'canary'

const spec = loadSpec()
const lines: string[] = []
let server: TestServer

beforeAll(async () => {
  const logger = createLogger('debug', { write: line => lines.push(line) })
  server = await startTestServer({
    logger,
    settings: { metrics: { enabled: true, port: 0 }, trusted_proxies: ['127.0.0.1'] },
  })
})

afterAll(() => server.close())

const address = '203.0.113.77'
const marked: Readonly<Record<string, string>> = {
  'X-Forwarded-For': address,
  'User-Agent': `${mark}-agent`,
  Referer: `https://${mark}-referer.example.org/`,
}

/** Puts the mark into every text of a body. */
function withMarks(value: unknown): unknown {
  if (typeof value === 'string') return `${mark}-${value}`
  if (Array.isArray(value)) return value.map(withMarks)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withMarks(item)]))
}

describe('the log and the metrics', () => {
  it('say nothing of whom or what it was about', async () => {
    const person = await register(server, `${mark}-person`)
    const room = await person.createRoom({ name: `${mark} room`, topic: `${mark} topic` })
    const eventId = await person.send(room, `${mark} message`)
    const hers: PathValues = {
      userId: person.userId,
      deviceId: `${mark}-device`,
      roomId: room,
      roomIdOrAlias: `#${mark}:lethe.test`,
      roomAlias: `#${mark}:lethe.test`,
      eventId,
      serverName: `${mark}.example.org`,
      mediaId: `${mark}media`,
      stateKey: `${mark}-state-key`,
      eventType: `${mark}.type`,
      txnId: `${mark}-transaction`,
      type: `${mark}.type`,
      tag: `u.${mark}`,
      filterId: mark,
      sessionId: mark,
      ruleId: mark,
      token: mark,
      keyName: mark,
    }
    const before = lines.length
    for (const endpoint of routes) {
      const body = endpoint.takesStream ? `${mark} bytes` : sampleBody(endpoint, spec)
      const query = `${sampleQuery(endpoint) || '?'}&${mark}=${mark}`
      for (const [token, sent] of [
        [person.accessToken, body],
        [person.accessToken, withMarks(body)],
        [`${mark}-token`, body],
      ] as const) {
        // A body is JSON or text.
        const text = sent === null ? undefined : typeof sent === 'string' ? sent : JSON.stringify(sent)
        // The account must outlive the test.
        if (/logout|deactivate|password/.test(endpoint.paths[0] ?? '') && token === person.accessToken) continue
        await exchange(server.url, {
          method: endpoint.method,
          target: fillPath(endpoint.paths[0] ?? '', hers) + query,
          token,
          body: text,
          headers: marked,
        })
      }
    }
    await exchange(server.url, { method: 'GET', target: `/${mark}`, headers: marked })
    await person.request('GET', path`/profile/${`@${mark}:lethe.test`}`, undefined, { headers: marked })
    const said = lines.join('').toLowerCase()
    const metrics = await exchange(server.metricsUrl ?? '', { method: 'GET', target: '/metrics' })
    // The test is worth nothing if nothing was logged.
    expect(lines.length - before).toBeGreaterThan(routes.length * 2)
    for (const secret of [mark, address, room, eventId, person.accessToken, person.userId, person.deviceId]) {
      const where = lines.find(line => line.toLowerCase().includes(secret.toLowerCase()))
      expect(where).toBeUndefined()
      expect(said).not.toContain(secret.toLowerCase())
      expect(metrics.bytes.toString().toLowerCase()).not.toContain(secret.toLowerCase())
    }
  }, 120_000)
})
