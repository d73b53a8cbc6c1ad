import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { type Exchange } from '../harness/exchange.ts'
import { at, Caller, path, type Person, register } from '../harness/people.ts'
import { RawConnection } from '../harness/raw-connection.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

/** What nobody's request may take while others overload the server. A busy machine is allowed for: what is to be caught holds
 *  the server up for longer. */
const patienceMs = 4_000
/** Node looks for connections that have taken too long every five seconds. */
const headersDeadlineMs = 15_000 + 5_000 + patienceMs

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess
let alice: Person
let room: string

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  server = await startServerProcess(database, folder.path)
  alice = await register(server)
  room = await alice.createRoom()
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  await database?.drop()
  await folder?.remove()
})

/** Makes small requests one after another while `work` goes on; returns its result, and how long the slowest of them took. */
async function beside<T>(work: Promise<T>, ask: () => Promise<Exchange>): Promise<{ result: T; slowestMs: number }> {
  let isOver = false
  const over = work.finally(() => (isOver = true))
  // It is awaited below; a failure meanwhile shall not end the process.
  over.catch(() => undefined)
  let slowestMs = 0
  do {
    const startedMs = performance.now()
    expect((await ask()).status).toBe(200)
    slowestMs = Math.max(slowestMs, performance.now() - startedMs)
  } while (!isOver)
  return { result: await over, slowestMs }
}

const sync = () => alice.request('GET', '/sync', undefined, { query: { timeout: 0, filter: '{"room":{"rooms":[]}}' } })
const versions = () => new Caller(server.url).request('GET', '/_matrix/client/versions')

function counted(values: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

describe('a server that is overloaded', () => {
  it('answers others while hundreds of connections bring their requests slowly, and closes those in time', async () => {
    const openedMs = performance.now()
    const headers = await Promise.all(Array.from({ length: 300 }, () => RawConnection.open(server.url)))
    for (const connection of headers) connection.write('GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    const bodies = await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(server.url)))
    for (const connection of bodies) {
      connection.write('POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
    }
    const dripping = (async () => {
      while (headers.some(({ isClosed }) => !isClosed)) {
        if (performance.now() - openedMs > headersDeadlineMs) throw new Error('connections are still open')
        for (const connection of [...headers, ...bodies]) if (!connection.isClosed) connection.write('x')
        await new Promise(resolve => setTimeout(resolve, 250))
      }
    })()
    const { slowestMs } = await beside(dripping, versions)
    expect(slowestMs).toBeLessThan(patienceMs)
    for (const { received } of headers) expect(received).toMatch(/^(HTTP\/1\.1 408 .*"errcode":"M_UNKNOWN".*)?$/s)
    for (const connection of bodies) connection.close()
  }, 60_000)

  it('refuses logins when too many wait for their turn, and syncs meanwhile', async () => {
    const logins = Promise.all(
      Array.from({ length: 80 }, (_, number) =>
        new Caller(server.url).request('POST', '/login', {
          type: 'm.login.password',
          identifier: { type: 'm.id.user', user: `nobody${number}` },
          password: 'not the right one',
        }),
      ),
    )
    const { result, slowestMs } = await beside(logins, sync)
    const counts = counted(result.map(({ status }) => status))
    expect(Object.keys(counts)).toEqual(['403', '429'])
    expect(counts[403]).toBeGreaterThanOrEqual(34)
    for (const { status, json } of result) {
      if (status === 429) expect([at(json, 'errcode'), at(json, 'retry_after_ms')]).toEqual(['M_LIMIT_EXCEEDED', 5_000])
    }
    expect(slowestMs).toBeLessThan(patienceMs)
    expect(await alice.login()).toBeTruthy()
  })

  it('takes what two hundred write to one room at once, and answers others meanwhile', async () => {
    const writing = Promise.all(
      Array.from({ length: 200 }, (_, number) =>
        alice.request('PUT', path`/rooms/${room}/send/m.room.message/crowd-${String(number)}`, { body: 'x' }),
      ),
    )
    const { result, slowestMs } = await beside(writing, versions)
    expect(counted(result.map(({ status }) => status))).toEqual({ 200: 200 })
    expect(new Set(result.map(({ json }) => at(json, 'event_id'))).size).toBe(200)
    expect(slowestMs).toBeLessThan(patienceMs)
  })

  const limit = 1_000_000
  it.each([
    ['nested beyond measure', '['.repeat(limit), 'M_BAD_JSON'],
    ['objects in objects', '{"a":'.repeat(limit / 5), 'M_BAD_JSON'],
    ['a million small things', `[${Array.from({ length: limit / 3 }, () => '{}').join(',')}]`, 'M_BAD_JSON'],
    ['one long number', `{"a":${'1'.repeat(limit)}}`, null],
    ['one string of escapes', `{"a":"${'\\u0000'.repeat(limit / 6)}"}`, null],
    ['not JSON until its very end', `{"a":[${Array.from({ length: limit / 2 }, () => '1').join(',')}`, 'M_NOT_JSON'],
  ])('refuses or takes large bodies without holding others up: %s', async (_, body, errcode) => {
    const sending = Promise.all(
      Array.from({ length: 4 }, () =>
        alice.request('PUT', path`/user/${alice.userId}/account_data/org.example.large`, body),
      ),
    )
    const { result, slowestMs } = await beside(sending, versions)
    for (const done of result) {
      expect(done.status).toBeLessThan(500)
      if (errcode !== null) expect([400, 413]).toContain(done.status)
      if (done.status === 400 && errcode !== null) expect(at(done.json, 'errcode')).toBe(errcode)
    }
    expect(slowestMs).toBeLessThan(patienceMs)
  })
})
