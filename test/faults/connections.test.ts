import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { at, Caller, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { type Fate, NthStatement, PostgresProxy } from '../harness/postgres-proxy.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { dataFolder } from './server-process.ts'

const rounds = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 20)
const roundsTimeoutMs = 30_000 + rounds * 2_000
/** The pool's, the committer's, that of the hot reads, the listener's. */
const connectionLimit = 4 + 3

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let proxy: PostgresProxy
/** Its database lies behind the proxy. */
let server: TestServer
/** Another replica, which reaches the database directly. */
let other: TestServer
let alice: Person
let room: string

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  proxy = await PostgresProxy.open(database)
  server = await startTestServer({ clock: 'system', on: { database: proxy.database, dataDir: folder.path } })
  other = await startTestServer({ clock: 'system', on: { database, dataDir: folder.path } })
  alice = await register(server)
  room = await alice.createRoom()
})
afterEach(() => {
  proxy.decide = () => 'pass'
  proxy.keepsBack = () => false
  proxy.delayMs = 0
  proxy.bytesPerSecond = null
})
afterAll(async () => {
  await server.close()
  await other.close()
  await proxy.close()
  await database.drop()
  await folder.remove()
})

const put = (transactionId: string) =>
  alice.request('PUT', path`/rooms/${room}/send/m.room.message/${transactionId}`, { msgtype: 'm.text', body: transactionId }) // prettier-ignore

/** Asks until the answer is another than "try again". */
async function sendUntilAnswered(transactionId: string): Promise<string> {
  for (;;) {
    const done = await put(transactionId)
    if (done.status === 200) return text(done.json as { event_id: string }, 'event_id') // An answer of 200 is an object.
    expect([done.status, at(done.json, 'errcode')]).toEqual([503, 'M_UNKNOWN'])
  }
}

/** The IDs of the room's messages, by their bodies; fails when one is there twice. */
async function storedMessages(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (let from: string | undefined; ;) {
    const page = await alice.messages(room, { dir: 'f', limit: 100, ...(from === undefined ? {} : { from }) })
    for (const event of objectsAt(page, 'chunk')) {
      if (event['type'] !== 'm.room.message') continue
      const body = String(at(event, 'content', 'body'))
      expect(found.get(body)).toBeUndefined()
      found.set(body, text(event, 'event_id'))
    }
    if (typeof page['end'] !== 'string') return found
    from = page['end']
  }
}

/** Alice sends a message through the other replica; returns its ID. */
async function sendElsewhere(body: string): Promise<string> {
  const there = new Caller(other.url, alice.accessToken)
  return text(
    await there.put(path`/rooms/${room}/send/m.room.message/${body}`, { msgtype: 'm.text', body }),
    'event_id',
  )
}

describe('the connection to the database', () => {
  it.each<[string, Fate]>([
    ['COMMIT has arrived and before its answer comes back', 'cut_after'],
    ['COMMIT arrives', 'cut_before'],
  ])(
    'breaks when %s: the same transaction ID finds out what became of the message',
    async (_, fate) => {
      const sent = new Map<string, string>()
      let struck = 0
      for (let round = 0; round < rounds; round++) {
        const fault = new NthStatement(1, fate, statement => /^commit/i.test(statement))
        proxy.decide = fault.decide
        const transactionId = `${String(fate)}-${round}`
        const eventId = await sendUntilAnswered(transactionId)
        expect(await sendUntilAnswered(transactionId)).toBe(eventId)
        if (fault.hasStruck) struck += 1
        sent.set(transactionId, eventId)
      }
      expect(struck).toBe(rounds)
      const stored = await storedMessages()
      expect([...sent].filter(([body, eventId]) => stored.get(body) !== eventId)).toEqual([])
    },
    roundsTimeoutMs,
  )

  it(
    'breaks at any time under load: each message is there once, and no connection is left over',
    async () => {
      const sent = new Map<string, string>()
      let statements = 0
      proxy.decide = () => {
        statements += 1
        return statements % 37 === 0 ? 'cut_before' : statements % 53 === 0 ? 'cut_after' : 'pass'
      }
      const write = async (writer: number) => {
        for (let number = 0; number < rounds; number++) {
          const transactionId = `load-${writer}-${number}`
          sent.set(transactionId, await sendUntilAnswered(transactionId))
        }
      }
      await Promise.all([0, 1, 2, 3].map(write))
      expect(proxy.opened).toBeGreaterThan(connectionLimit)
      proxy.decide = () => 'pass'
      const stored = await storedMessages()
      expect([...sent].filter(([body, eventId]) => stored.get(body) !== eventId)).toEqual([])
      expect(proxy.connections).toBeLessThanOrEqual(connectionLimit)
    },
    roundsTimeoutMs,
  )

  it('is slow and narrow: everything is answered all the same', async () => {
    proxy.delayMs = 100
    proxy.bytesPerSecond = 64_000
    const eventId = await sendUntilAnswered('slow')
    expect(text(await alice.event(room, eventId), 'event_id')).toBe(eventId)
  })

  it('brings no notifications: what happens elsewhere is told within six seconds', async () => {
    const since = await alice.now()
    proxy.keepsBack = () => true
    const waiting = alice.sync({ since, timeout: 20_000 })
    const eventId = await sendElsewhere('told late')
    const startedMs = performance.now()
    expect(objectsAt(await waiting, 'rooms', 'join', room, 'timeline', 'events').map(each => each['event_id'])).toEqual([eventId]) // prettier-ignore
    expect(performance.now() - startedMs).toBeLessThan(6_000)
  })

  it('falls silent without closing: it is given up within twelve seconds, and everything works again, notifications too', async () => {
    const since = await alice.now()
    proxy.strand()
    const startedMs = performance.now()
    const transactionId = 'stranded'
    const [refused, read] = await Promise.all([
      put(transactionId),
      alice.request('GET', path`/profile/${alice.userId}`),
    ])
    expect([refused.status, at(refused.json, 'errcode'), read.status]).toEqual([503, 'M_UNKNOWN', 200])
    expect(performance.now() - startedMs).toBeLessThan(13_000)
    const eventId = await sendUntilAnswered(transactionId)
    expect((await storedMessages()).get(transactionId)).toBe(eventId)
    // The pool's own, in transactions.
    expect((await alice.request('POST', '/createRoom', {})).status).toBe(200)
    expect(performance.now() - startedMs).toBeLessThan(15_000)
    expect(objectsAt(await alice.sync({ since }), 'rooms', 'join', room, 'timeline', 'events').map(each => each['event_id'])).toEqual([eventId]) // prettier-ignore
    // The listener may have to wait for its own ten seconds; until then the poll tells what happens elsewhere.
    for (let number = 0, tookMs = Infinity; tookMs > 1_000; number++) {
      expect(performance.now() - startedMs).toBeLessThan(25_000)
      const before = await alice.now()
      const waiting = alice.sync({ since: before, timeout: 20_000 })
      const across = await sendElsewhere(`told at once ${number}`)
      const sentMs = performance.now()
      expect(JSON.stringify(await waiting)).toContain(across)
      tookMs = performance.now() - sentMs
    }
    expect(proxy.connections).toBeLessThanOrEqual(connectionLimit)
  }, 60_000)
})
