import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { backgroundJobs } from '../../src/admin/job-loop.ts'
import { silentLogger } from '../../src/log.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { whileAlone } from '../../src/storage/advisory-lock.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { registerAdmin } from '../admin/people.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { path, type Person, register, text } from '../harness/people.ts'
import { type Fate, PostgresProxy } from '../harness/postgres-proxy.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { dataFolder } from './server-process.ts'

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let proxy: PostgresProxy
let server: TestServer
/** Not through the proxy. */
let beside: Database
let admin: Person

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  proxy = await PostgresProxy.open(database)
  server = await startTestServer({
    on: { database: proxy.database, dataDir: folder.path },
    loops: [backgroundJobs],
  })
  beside = openDatabase(database.connection, silentLogger)
  admin = await registerAdmin(server, 'root')
})
afterAll(async () => {
  await server?.close()
  await beside?.close()
  await proxy?.close()
  await database?.drop()
  await folder?.remove()
})
beforeEach(() => {
  proxy.decide = () => 'pass'
})

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const v2 = (rest: string) => `/_synapse/admin/v2${rest}`

interface JobRow {
  readonly status: string
  readonly failure: string | null
  /** Another one after each change of the row. */
  readonly version: string
}

async function rowOf(jobId: string): Promise<JobRow> {
  const { rows } = await beside.pool.query<JobRow>(
    'SELECT status, failure, xmin::text AS version FROM background_jobs WHERE job_id = $1',
    [jobId],
  )
  const [row] = rows
  if (!row) throw new Error('there is no such job')
  return row
}

/** Lets time pass until a job has ended. */
async function ended(jobId: string, stepMs = 1_000): Promise<Pick<JobRow, 'status' | 'failure'>> {
  for (let tries = 0; tries < 2_000; tries++) {
    const { status, failure } = await rowOf(jobId)
    if (status === 'complete' || status === 'failed') return { status, failure }
    await server.clock.advance(stepMs)
    await sleep(5)
  }
  throw new Error('the job did not end')
}

const done = { status: 'complete', failure: null }

/** A room with messages, whose history is ordered to be purged. */
async function orderPurge(messages: number): Promise<{ readonly room: string; readonly jobId: string }> {
  const room = await admin.createRoom()
  for (let count = 0; count < messages; count++) await admin.send(room, `message ${count}`)
  const body = { purge_up_to_ts: server.clock.now() + 60_000, delete_local_events: true }
  return { room, jobId: text(await admin.post(v1(path`/purge_history/${room}`), body), 'purge_id') }
}

async function messagesIn(room: string): Promise<number> {
  const { rows } = await beside.pool.query<{ count: number }>(
    `SELECT count(*) AS count FROM events JOIN rooms USING (room_number) WHERE room_id = $1 AND state_key_number IS NULL`,
    [room],
  )
  return rows[0]?.count ?? 0
}

/** Holds a table while something is ordered and until it waits for it, does `meanwhile` to the backend that waits, and lets go. */
async function withHeldTable<T>(table: string, order: () => Promise<T>, meanwhile: (pid: number) => Promise<unknown>) {
  const holder = await beside.connect()
  try {
    await holder.query(`BEGIN; LOCK TABLE ${table} IN SHARE MODE`)
    const ordered = await order()
    const waiting = async () =>
      (
        await beside.pool.query<{ pid: number }>(
          `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
      ).rows[0]?.pid
    let pid: number | undefined
    for (let tries = 0; tries < 1_000 && pid === undefined; tries++) pid = await waiting()
    if (pid === undefined) throw new Error('nothing waits for the table')
    await meanwhile(pid)
    return ordered
  } finally {
    await holder.end()
  }
}

const signalled = (name: 'pg_cancel_backend' | 'pg_terminate_backend') => (pid: number) =>
  beside.pool.query(`SELECT ${name}($1)`, [pid])

describe('work in the background', () => {
  it('outlasts a lock that it is not given', async () => {
    const { room, jobId } = await withHeldTable('receipts', () => orderPurge(3), () => sleep(600)) // prettier-ignore
    expect((await rowOf(jobId)).status).toBe('active')
    expect(await ended(jobId)).toEqual(done)
    expect(await messagesIn(room)).toBe(1)
  })

  it.each(['pg_cancel_backend', 'pg_terminate_backend'] as const)('outlasts %s', async name => {
    const { room, jobId } = await withHeldTable('receipts', () => orderPurge(3), signalled(name))
    expect(await ended(jobId)).toEqual(done)
    expect(await messagesIn(room)).toBe(1)
  })

  it.each(['pg_cancel_backend', 'pg_terminate_backend'] as const)(
    'takes nobody for stuck because of %s',
    async name => {
      const member = await register(server)
      const room = await admin.createRoom({ preset: 'public_chat' })
      await member.join(room)
      const order = async () => text(await admin.delete(v2(path`/rooms/${room}`), {}), 'delete_id')
      const jobId = await withHeldTable('memberships', order, signalled(name))
      expect(await ended(jobId)).toEqual(done)
      const { shutdown_room: outcome } = await admin.get(v2(path`/rooms/delete_status/${jobId}`))
      expect(outcome).toMatchObject({
        kicked_users: expect.arrayContaining([admin.userId, member.userId]) as unknown,
        failed_to_kick_users: [],
      })
      expect((await admin.request('GET', v1(path`/rooms/${room}`))).status).toBe(404)
    },
  )

  /** Ever farther apart, so that every step comes to its end at last. */
  const struck = new Set([2, 3, 5, 8, 13, 21, 34, 55, 89])
  const fates: readonly (readonly [string, Fate])[] = [
    ['is refused a lock', { sqlstate: '55P03' }],
    ['is broken off', { sqlstate: '57014' }],
    ['cannot be serialised', { sqlstate: '40001' }],
    ['meets a deadlock', { sqlstate: '40P01' }],
    ['does not reach the database', 'cut_before'],
    ['is done, but the answer is lost', 'cut_after'],
  ]

  it.each(fates)('is done once when now and then a statement %s', async (_what, fate) => {
    const member = await register(server)
    const room = await admin.createRoom({ preset: 'public_chat' })
    await member.join(room)
    for (const body of ['one', 'two', 'three']) await member.send(room, body)
    const body = { rooms: [room], reason: 'spam' }
    const jobId = text(await admin.post(v1(path`/user/${member.userId}/redact`), body), 'redact_id')
    let sent = 0
    proxy.decide = () => (struck.has(++sent) ? fate : 'pass')
    expect(await ended(jobId)).toEqual(done)
    proxy.decide = () => 'pass'
    expect(sent).toBeGreaterThan(8)
    expect(await admin.get(v1(path`/user/redact_status/${jobId}`))).toEqual({
      status: 'complete',
      failed_redactions: {},
    })
    const { rows } = await beside.pool.query<{ type: string; flags: number }>(
      `SELECT type, flags FROM events JOIN rooms USING (room_number) JOIN event_types USING (type_number)
       WHERE room_id = $1 AND type IN ('m.room.message', 'm.room.redaction') ORDER BY position`,
      [room],
    )
    expect(rows.map(({ type }) => type)).toEqual([...Array<string>(3).fill('m.room.message'), ...Array<string>(3).fill('m.room.redaction')]) // prettier-ignore
    expect(rows.slice(0, 3).every(({ flags }) => (flags & 4) !== 0)).toBe(true)
  })

  it('ends when what it meets does not pass', async () => {
    proxy.decide = ({ text: statement }) => (/^DELETE FROM receipts/.test(statement) ? { sqlstate: '23514' } : 'pass')
    const { room, jobId } = await orderPurge(3)
    expect(await ended(jobId)).toEqual({ status: 'failed', failure: 'An error of the server; its log says which' })
    expect(await messagesIn(room)).toBe(3)
  })

  it('ends when what should pass has not passed for an hour', async () => {
    proxy.decide = ({ text: statement }) => (/^DELETE FROM receipts/.test(statement) ? { sqlstate: '55P03' } : 'pass')
    const { jobId } = await orderPurge(3)
    const sinceMs = server.clock.monotonic()
    expect(await ended(jobId, 10_000)).toEqual({
      status: 'failed',
      failure: 'An error of the server; its log says which',
    })
    expect(server.clock.monotonic() - sinceMs).toBeGreaterThan(3_600_000)
  }, 30_000)

  it('does not keep other work waiting while it rests', async () => {
    const held = await orderPurge(3)
    proxy.decide = ({ text: statement }) => (/^DELETE FROM receipts/.test(statement) ? { sqlstate: '55P03' } : 'pass')
    const room = await admin.createRoom()
    const other = text(await admin.delete(v2(path`/rooms/${room}`), { purge: false }), 'delete_id')
    expect(await ended(other)).toEqual(done)
    expect((await rowOf(held.jobId)).status).toBe('active')
    proxy.decide = () => 'pass'
    expect(await ended(held.jobId)).toEqual(done)
  })

  it('writes nothing while it waits for a sweep', async () => {
    const order = (): Promise<JsonObject> => admin.post('/_lethe/admin/v1/retention/sweep')
    const jobId = await whileAlone(beside, 'sweeper', async () => {
      const id = text(await order(), 'sweep_id')
      while ((await rowOf(id)).status !== 'active') await sleep(5)
      const before = await rowOf(id)
      for (let passedMs = 0; passedMs < 60_000; passedMs += 500) {
        await server.clock.advance(500)
        await sleep(2)
      }
      expect(await rowOf(id)).toEqual(before)
      return id
    })
    expect(await ended(jobId ?? '')).toEqual(done)
  })
})
