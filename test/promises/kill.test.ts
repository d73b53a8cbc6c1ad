import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../src/log.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { FaultClient } from '../faults/homeserver-client.ts'
import { dataFolder, type ServerProcess, startServerProcess } from '../faults/server-process.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { noOrphans, orphans } from '../harness/orphans.ts'
import { startTestServer } from '../harness/server.ts'

const kills = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 5)
/** Each with a reply in its thread and a reaction; every fourth reply is redacted. */
const roots = 120
const lifetimeMs = 1_000
/** A sweep takes moments; the rest is for a machine that is busy. */
const patienceMs = 30_000

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess
let db: Database
let alice: FaultClient

const start = () => startServerProcess(database, folder.path, 0, { LETHE_RETENTION__SWEEP_INTERVAL: '1s' })

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  server = await start()
  db = openDatabase(database.connection, silentLogger)
  alice = new FaultClient(() => server.url)
  await alice.register('alice')
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  await db?.close()
  await database?.drop()
  await folder?.remove()
})

const inRoom = (room: string) => `/rooms/${encodeURIComponent(room)}`
const policy = (room: string, content: JsonObject) =>
  alice.insist('PUT', `${inRoom(room)}/state/m.room.retention/`, content)

async function say(room: string, type: string, transaction: string, content: JsonObject): Promise<string> {
  return String((await alice.insist('PUT', `${inRoom(room)}/send/${type}/${transaction}`, content))['event_id'])
}

async function newRoom(): Promise<string> {
  return String((await alice.insist('POST', '/createRoom', { preset: 'private_chat' }))['room_id'])
}

/** Says what the next sweeps are to forget; returns the IDs of all of it. */
async function fill(room: string, round: number): Promise<string[]> {
  const said = await Promise.all(
    Array.from({ length: roots }, async (_, number) => {
      const name = `${round}-${number}`
      const root = await say(room, 'm.room.message', `root-${name}`, { body: `walnut ${name}` })
      const reply = await say(room, 'm.room.message', `reply-${name}`, { body: `walnut reply ${name}`, 'm.relates_to': { rel_type: 'm.thread', event_id: root } }) // prettier-ignore
      const reaction = await say(room, 'm.reaction', `reaction-${name}`, { 'm.relates_to': { rel_type: 'm.annotation', event_id: root, key: 'walnut' } }) // prettier-ignore
      if (number % 4 !== 0) return [root, reply, reaction]
      const redaction = await alice.insist('PUT', `${inRoom(room)}/redact/${encodeURIComponent(reply)}/redact-${name}`, { reason: 'walnut' }) // prettier-ignore
      return [root, reply, reaction, String(redaction['event_id'])]
    }),
  )
  const eventId = said.flat().at(-1) ?? ''
  await alice.insist('POST', `${inRoom(room)}/receipt/m.read/${encodeURIComponent(eventId)}`, {})
  await alice.insist('POST', `${inRoom(room)}/read_markers`, { 'm.fully_read': eventId })
  await alice.insist('PUT', `${inRoom(room)}/state/m.room.topic/`, { topic: `walnut ${round}` })
  return said.flat()
}

/** What a copy of the database would hold of the events: their sealed bodies. */
async function copyOf(eventIds: readonly string[]): Promise<{ event_id: string; body: Buffer }[]> {
  const copy = 'SELECT event_id, body FROM events WHERE event_id = ANY($1)'
  return (await db.pool.query<{ event_id: string; body: Buffer }>(copy, [eventIds])).rows
}

/** What the sweeper has still to do: messages to delete, and keys to destroy. */
async function left(eventIds: readonly string[]): Promise<{ events: number; seals: number }> {
  const { rows } = await db.pool.query<{ events: number; seals: number }>(
    `SELECT (SELECT count(*) FROM events WHERE event_id = ANY($1) AND flags & 4 = 0) AS events,
      (SELECT count(*) FROM dead_seals) AS seals`,
    [eventIds],
  )
  return rows[0] ?? { events: 0, seals: 0 }
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const startMs = performance.now(); !(await look());) {
    if (performance.now() - startMs > patienceMs) throw new Error(`waited in vain for ${what}`)
  }
}

/** Kills the server while it deletes, or while it destroys keys, at a moment that chance chooses. */
async function killWhileItSweeps(eventIds: readonly string[], isDeleting: boolean): Promise<void> {
  const all = (await left(eventIds)).events
  const threshold = isDeleting ? Math.floor(all * (0.2 + 0.8 * Math.random())) : 0
  await until('the sweep', async () => {
    const { events, seals } = await left(eventIds)
    return isDeleting ? events < all && events <= threshold : events === 0 && seals > 0
  })
  const delayMs = Math.random() * (isDeleting ? 5 : 15)
  if (Math.random() < 0.7) await new Promise(resolve => setTimeout(resolve, delayMs))
  await server.end('SIGKILL')
}

/** The text of all that a client which comes anew is told of the room, and pages through. */
async function readable(room: string): Promise<string> {
  const told = await alice.insist('GET', '/sync')
  const rooms = isJsonObject(told['rooms']) && isJsonObject(told['rooms']['join']) ? told['rooms']['join'] : {}
  expect(rooms[room]).toBeDefined()
  return JSON.stringify([rooms[room], await alice.messages(room)])
}

describe('promise 10: the sweeper may be killed at any moment, and what it does is bounded', () => {
  it(
    `promise 10: ${kills} kills while it deletes and destroys keys leave nothing of what expired and all of what did not`,
    async () => {
      const fleeting = await newRoom()
      const lasting = await newRoom()
      const kept = new Map<string, string>()
      const expired: string[] = []
      const copied: Awaited<ReturnType<typeof copyOf>> = []
      let interrupted = 0
      const { next_batch: since } = await alice.insist('GET', '/sync')
      for (let round = 0; round < kills; round++) {
        // Without a policy: every message has a key of its own, to be destroyed by itself.
        await policy(fleeting, {})
        const [eventIds] = await Promise.all([
          fill(fleeting, round),
          ...Array.from({ length: 40 }, async (_, number) => {
            const body = `almond ${round}-${number}`
            const eventId = await say(lasting, 'm.room.message', `keep-${round}-${number}`, { body })
            if (number % 2 === 0) return void kept.set(body, eventId)
            await alice.insist('PUT', `${inRoom(lasting)}/redact/${encodeURIComponent(eventId)}/r-${round}-${number}`, {}) // prettier-ignore
          }),
        ])
        expired.push(...eventIds)
        copied.push(...(await copyOf(eventIds)))
        const saidTs = Date.now()
        await policy(fleeting, { max_lifetime: lifetimeMs })
        await killWhileItSweeps(eventIds, round % 2 === 0)
        const { events, seals } = await left(eventIds)
        if (events > 0 || seals > 0) interrupted += 1
        expect([round, await orphans(db)]).toEqual([round, noOrphans])

        server = await start()
        await new Promise(resolve => setTimeout(resolve, Math.max(0, saidTs + lifetimeMs + 1 - Date.now())))
        // Whatever the sweep had not got to has expired all the same.
        expect((await alice.messages(fleeting)).filter(({ body }) => body.startsWith('walnut'))).toEqual([])
        const found = new Map((await alice.messages(lasting)).map(({ body, eventId }) => [body, eventId]))
        expect([...kept].filter(([body, eventId]) => found.get(body) !== eventId)).toEqual([])
        expired.push(await say(fleeting, 'm.room.message', `after-${round}`, { body: 'walnut after all' }))
      }
      // Most of the kills came in the midst of the work; a machine that is slow to kill lets some come too late.
      expect(interrupted).toBeGreaterThan(0)

      // One state event ends the line of what the next event would be built on.
      await alice.insist('PUT', `${inRoom(fleeting)}/state/m.room.topic/`, { topic: 'quiet' })
      await until('the end of the work', async () => {
        const { rows } = await db.pool.query<{ done: boolean }>(
          `SELECT NOT EXISTS (SELECT FROM dead_seals) AND NOT EXISTS (SELECT FROM superseded_state s JOIN rooms USING (room_number) WHERE room_id = $2)
            AND NOT EXISTS (SELECT FROM events WHERE event_id = ANY($1)) AS done`,
          [expired, fleeting],
        )
        return rows[0]?.done === true
      })
      expect(await orphans(db)).toEqual(noOrphans)
      expect(await readable(fleeting)).not.toContain('walnut')
      for (const eventId of expired.slice(-50)) {
        expect((await alice.ask('GET', `${inRoom(fleeting)}/event/${encodeURIComponent(eventId)}`)).status).toBe(404)
      }
      for (const [body, eventId] of kept) {
        const event = await alice.insist('GET', `${inRoom(lasting)}/event/${encodeURIComponent(eventId)}`)
        expect(event['content']).toEqual({ body })
      }
      // A client that was there before it all goes on.
      const told = await alice.insist('GET', `/sync?since=${String(since)}`)
      const next = await say(fleeting, 'm.room.message', 'next', { body: 'still sendable' })
      const news = await alice.insist('GET', `/sync?since=${String(told['next_batch'])}&timeout=10000`)
      expect(JSON.stringify(news)).toContain(next)

      // No copy of what expired can be opened with the keys that are left; what lives on can.
      const lastingCopy = await copyOf([...kept.values()])
      await server.end('SIGTERM')
      const opened = await startTestServer({ loops: [], clock: 'system', on: { database, dataDir: folder.path } })
      try {
        const { sealer } = opened.ctx.numbers
        const readableAmong = (rows: typeof copied) =>
          rows.flatMap(row => (sealer.open(row.body, row.event_id) === null ? [] : row.event_id))
        expect(copied.length).toBeGreaterThanOrEqual(kills * roots * 3)
        expect(readableAmong(copied)).toEqual([])
        expect(readableAmong(lastingCopy)).toHaveLength(kept.size)
      } finally {
        await opened.close()
      }
    },
    60_000 + kills * 20_000,
  )
})
