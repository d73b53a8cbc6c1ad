import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, cp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger } from '../../src/log.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { FaultClient, follow } from '../faults/homeserver-client.ts'
import { dataFolder, type ServerProcess, startServerProcess } from '../faults/server-process.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { objectsAt } from '../harness/people.ts'
import { lethe, main, writeSettings } from './lethe.ts'

const writers = 6
/** How often a restoration is killed at a moment that chance chooses. */
const kills = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 3)
const patienceMs = 280_000

let database: TestDatabase
let elsewhere: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let other: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess
let alice: FaultClient

beforeAll(async () => {
  database = await testDatabase()
  elsewhere = await testDatabase({ empty: true })
  folder = await dataFolder()
  other = await dataFolder()
  server = await startServerProcess(database, folder.path, 0, { LETHE_RETENTION__SWEEP_INTERVAL: '1s' })
  alice = new FaultClient(() => server.url)
  await alice.register('alice')
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  for (const each of [database, elsewhere]) await each?.drop()
  for (const each of [folder, other]) await each?.remove()
})

const path = (room: string) => `/rooms/${encodeURIComponent(room)}`
const createRoom = async (state: readonly object[] = []) =>
  String((await alice.insist('POST', '/createRoom', { initial_state: state as never[] }))['room_id'])
const send = (room: string, body: string) => alice.send(room, body).then(sent => String(sent['event_id']))

/** Resolves when something has come about, or when there is nothing to wait for any more. */
async function until(isSo: () => Promise<boolean>, isOver: () => boolean): Promise<void> {
  while (!isOver() && !(await isSo())) await pause(5)
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** Starts a command and kills it once it is at work and some time has passed; true if it had not ended by then. */
async function killed(
  parameters: readonly string[],
  settings: string,
  isAtWork: () => Promise<boolean>,
  afterMs: number,
): Promise<boolean> {
  const child = spawn(process.execPath, [main, ...parameters, '--config', settings], { stdio: 'ignore', env: { PATH: process.env['PATH'] } }) // prettier-ignore
  const ended = once(child, 'exit')
  await until(isAtWork, () => child.exitCode !== null)
  await Promise.race([ended, pause(afterMs)])
  const wasRunning = child.exitCode === null
  child.kill('SIGKILL')
  await ended
  return wasRunning
}

describe('a backup that is made while everybody writes', () => {
  it(
    'holds what was acknowledged before it, once; and what expired, or was redacted since, stays forgotten',
    async () => {
      const room = await createRoom()
      const fleeting = await createRoom([{ type: 'm.room.retention', state_key: '', content: { max_lifetime: 5_000 } }])
      const passing = await send(fleeting, 'walnut')
      const redacted = await send(room, 'hazelnut')
      const sent = new Map<string, string>()
      let isOver = false
      const writing = Array.from({ length: writers }, async (_, writer) => {
        for (let number = 0; !isOver; number++) {
          const body = `m${writer}-${number}`
          sent.set(body, await send(room, body))
        }
      })
      while (sent.size < 1_500) await pause(50)
      const settings = await writeSettings(folder.path, database.url)
      const file = join(folder.path, 'lethe.backup')
      // One that is killed leaves nothing in its place.
      const hasDraft = async () => (await readdir(folder.path)).some(name => name.includes('lethe.backup'))
      expect(await killed(['backup', file], settings, hasDraft, 0)).toBe(true)
      await expect(access(file)).rejects.toThrow()

      const before = new Map(sent)
      const made = await lethe(settings, ['backup', file])
      expect([made.code, made.err]).toEqual([0, ''])
      const after = sent.size
      expect(after).toBeGreaterThan(before.size)
      const { next_batch: since } = await alice.insist('GET', '/sync')
      isOver = true
      await Promise.all(writing)
      await alice.insist('PUT', `${path(room)}/redact/${encodeURIComponent(redacted)}/x`, {})
      // Until the sweeper has destroyed both keys.
      const db = openDatabase(database.connection, silentLogger)
      for (let left = 1; left > 0;) {
        const { rows } = await db.pool.query<{ count: number }>(
          `SELECT (SELECT count(*) FROM dead_seals) + (SELECT count(*) FROM events WHERE event_id = $1 AND flags & 4 = 0) AS count`,
          [passing],
        )
        left = rows[0]?.count ?? 0
        await pause(200)
      }
      await db.close()
      await server.end('SIGTERM')

      // Elsewhere, with the keyring as it is now.
      const there = await writeSettings(other.path, elsewhere.url)
      await cp(join(folder.path, 'keyring'), join(other.path, 'keyring'), { recursive: true })
      const target = openDatabase(elsewhere.connection, silentLogger)
      const isEmpty = async () =>
        (await target.pool.query(`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace`)).rows.length === 0
      const others = `FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND application_name = 'lethe' AND state <> 'idle'`
      const isLoading = async () =>
        (await target.pool.query(`SELECT ${others} AND xact_start IS NOT NULL AND query ILIKE 'COPY %'`)).rows.length >
        0
      const startedMs = performance.now()
      let wereRunning = 0
      for (let round = 0; round < kills; round++) {
        if (!(await isEmpty())) break
        if (await killed(['restore', file], there, isLoading, Math.random() * 200)) wereRunning++
        // Postgres notices in a moment that nobody is there any more.
        for (let tries = 0; tries < 100 && (await target.pool.query(`SELECT ${others}`)).rows.length > 0; tries++) await pause(50) // prettier-ignore
        const { rows } = (await isEmpty())
          ? { rows: [{ events: 0 }] }
          : await target.pool.query<{ events: number }>('SELECT count(*) AS events FROM events')
        // Nothing, or the whole.
        const events = rows[0]?.events ?? -1
        expect(events === 0 || events >= before.size).toBe(true)
      }
      expect(wereRunning).toBeGreaterThan(0)
      if (await isEmpty()) {
        const restored = await lethe(there, ['restore', file])
        expect([restored.code, restored.err]).toEqual([0, ''])
      } else {
        expect((await lethe(there, ['restore', '--after'])).code).toBe(0)
      }
      await target.close()
      expect(performance.now() - startedMs).toBeLessThan(patienceMs)
      expect((await stat(join(other.path, 'signing.key'))).mode & 0o777).toBe(0o600)
      expect((await readdir(other.path)).filter(name => name.includes('unfinished'))).toEqual([])

      const looked = await lethe(there, ['doctor', '--offline'])
      const faults = objectsAt(looked.json, 'checks').flatMap(check => check['fault'] ?? [])
      // Nobody is an administrator in this story.
      expect(faults).toEqual(['noAdmin'])

      server = await startServerProcess(elsewhere, other.path)
      const found = new Map<string, string[]>()
      for (const { body, eventId } of await alice.messages(room)) found.set(body, [...(found.get(body) ?? []), eventId])
      expect([...before].filter(([body, eventId]) => found.get(body)?.join() !== eventId)).toEqual([])
      expect([...found].filter(([body, ids]) => ids.length !== 1 || (sent.get(body) ?? 'none') !== ids[0]).map(([body]) => body)).toEqual([]) // prettier-ignore
      for (const [where, eventId] of [
        [fleeting, passing],
        [room, redacted],
      ] as const) {
        const asked = await alice.ask('GET', `${path(where)}/event/${encodeURIComponent(eventId)}`)
        expect([eventId, asked.status]).toEqual([eventId, 404])
      }
      // A client that was ahead of the backup starts afresh, and goes on.
      const told = await alice.insist('GET', `/sync?since=${String(since)}`)
      expect(JSON.stringify(told['rooms'])).toContain(room)
      let isSaid = false
      const following = follow(alice, room, () => isSaid)
      const last = await send(room, 'on we go')
      isSaid = true
      await following
      expect((await alice.messages(room)).at(-1)?.eventId).toBe(last)
    },
    patienceMs,
  )
})
