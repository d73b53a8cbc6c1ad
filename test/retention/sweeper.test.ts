import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { lifetimeDays } from '../../src/privacy/lifetimes.ts'
import { append } from '../../src/rooms/append.ts'
import { type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { sweep, sweeper } from '../../src/retention/sweeper.ts'
import { whileAlone } from '../../src/storage/advisory-lock.ts'
import { DatabaseError } from '../../src/storage/database.ts'
import { TestClock } from '../harness/clock.ts'
import { noOrphans, orphans } from '../harness/orphans.ts'
import { objectsAt, path, type Person, register } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'

const hour = 3_600_000
const day = 24 * hour

async function shortLivedRoom(person: Person): Promise<string> {
  const room = await person.createRoom()
  await person.setState(room, 'm.room.retention', { max_lifetime: hour })
  return room
}

describe('the sweeper', () => {
  let server: TestServer
  let alice: Person
  beforeAll(async () => {
    server = await startTestServer({ loops: [], settings: plainly })
    alice = await register(server)
  })
  afterAll(() => server.close())

  it('goes to work at its interval, and ends when it is told to', async () => {
    const room = await shortLivedRoom(alice)
    const event = await alice.send(room, 'melon')
    await alice.send(room, 'last')
    const stop = sweeper.start(server.ctx)
    const swept = new Promise<void>(resolve => {
      const unsubscribe = server.ctx.log.subscribe(entries => {
        if (!entries.some(entry => entry.kind === 'room' && entry.roomId === room)) return
        unsubscribe()
        resolve()
      })
    })
    await server.clock.advance(hour + server.config.retention.sweepInterval)
    await swept
    await stop()
    expect(await tablesThatHold(server.ctx.db, { event, body: 'melon' })).toEqual({})
    expect(server.clock.pending).toBe(0)
  })

  it('leaves the work to the one who is at it already', async () => {
    const other = await whileAlone(server.ctx.db, 'sweeper', () => sweep(server.ctx))
    expect(other).toBeNull()
    expect(await sweep(server.ctx)).not.toBeNull()
  })

  it('is free to begin when the one who was at it has died', async () => {
    const killer = new pg.Client(server.database.url)
    await killer.connect()
    const held = whileAlone(server.ctx.db, 'sweeper', async () => {
      const { rows } = await server.ctx.db.pool.query<{ pid: number }>(
        `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4921001 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      )
      await killer.query('SELECT pg_terminate_backend($1, 5000)', [rows[0]?.pid])
      return sweep(server.ctx)
    })
    await expect(held).rejects.toThrow(DatabaseError)
    await killer.end()
    expect(await sweep(server.ctx)).not.toBeNull()
  })

  it('deletes more than fits into one batch', async () => {
    const room = await shortLivedRoom(alice)
    await append(server.ctx, room as RoomId, async open => {
      for (let count = 0; count < 450; count++) {
        await open.add({ sender: alice.userId as UserId, type: 'm.room.message', content: { body: `date ${count}` } })
      }
    })
    await server.clock.advance(hour + 1)
    expect((await sweep(server.ctx))?.events).toBeGreaterThanOrEqual(450)
    expect(await tablesThatHold(server.ctx.db, { body: 'date ' })).toEqual({})
    expect(await orphans(server.ctx.db)).toEqual(noOrphans)
    await alice.send(room, 'still sendable')
  })

  it('collects states that nothing refers to any more, and no other', async () => {
    const room = await shortLivedRoom(alice)
    const events = [await alice.send(room, 'on one branch'), await alice.send(room, 'on another')]
    await alice.send(room, 'after both')
    // As where branches meet: states that no state event made, one told as the difference to the other.
    const [full, difference] = [await server.ctx.numbers.next('snapshot'), await server.ctx.numbers.next('snapshot')]
    await server.ctx.db.pool.query(
      `INSERT INTO state_snapshots (snapshot_number, room_number, base_number)
       SELECT n, room_number, b FROM rooms, (VALUES ($2::bigint, NULL::bigint), ($3, $2)) AS s (n, b) WHERE room_id = $1`,
      [room, full, difference],
    )
    await server.ctx.db.pool.query('UPDATE events SET snapshot_number = $2 WHERE event_id = ANY($1)', [events, difference]) // prettier-ignore
    const states = async () => {
      const { rows } = await server.ctx.db.pool.query<{ own: boolean; made: boolean }>(
        `SELECT bool_or(s.snapshot_number = ANY($2)) AS made, bool_or(s.snapshot_number <> ALL($2)) AS own
         FROM state_snapshots s JOIN rooms USING (room_number) WHERE room_id = $1`,
        [room, [full, difference]],
      )
      return rows[0]
    }
    expect(await states()).toEqual({ made: true, own: true })
    await server.clock.advance(hour + 1)
    await sweep(server.ctx)
    expect(await states()).toEqual({ made: false, own: true })
    expect(await orphans(server.ctx.db)).toEqual(noOrphans)
    await alice.setState(room, 'm.room.topic', { topic: 'still here' })
  })

  it('gives way to somebody who holds what it wants, and has another try', async () => {
    const room = await shortLivedRoom(alice)
    const event = await alice.send(room, 'mango')
    await alice.acknowledge(room, event)
    await alice.send(room, 'last')
    await server.clock.advance(hour + 1)
    const holder = new pg.Client(server.database.url)
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM receipts FOR UPDATE')
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { body: 'mango' })).toEqual({ body: ['events'] })
    await holder.query('ROLLBACK')
    await holder.end()
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { body: 'mango' })).toEqual({})
  })

  it('waits for what the log wants first while it holds nothing that the log wants later', async () => {
    const room = await shortLivedRoom(alice)
    const event = await alice.send(room, 'pear')
    await alice.send(room, 'last')
    await alice.post(path`/rooms/${room}/read_markers`, { 'm.fully_read': event, 'm.read': event })
    await server.clock.advance(2 * hour)
    const committer = new pg.Client({ connectionString: server.database.url })
    await committer.connect()
    try {
      // As the log does with the markers of somebody who reads on: account data first, receipts after it.
      await committer.query('BEGIN')
      await committer.query(
        `SELECT FROM account_data WHERE type = 'm.fully_read' AND content LIKE '%${event}%' FOR UPDATE`,
      )
      const sweeping = sweep(server.ctx)
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
      const isWaiting = async () => (await committer.query(waiting)).rowCount === 1
      while (!(await isWaiting())) await new Promise(setImmediate)
      const { rows } = await committer.query(`SELECT r.event_number FROM receipts r JOIN events e USING (event_number)
        WHERE e.event_id = '${event}' FOR UPDATE OF r NOWAIT`)
      expect(rows).toHaveLength(1)
      await committer.query('COMMIT')
      await sweeping
    } finally {
      await committer.end()
    }
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { event, body: 'pear' })).toEqual({})
  })

  it('may be killed before any of its statements: the room is whole and can be written to, and the next sweep ends the work', async () => {
    const room = await shortLivedRoom(alice)
    const names: string[] = []
    let isOver = false
    for (let statement = 1; !isOver; statement++) {
      const root = await alice.send(room, `papaya ${statement}`)
      const reply = await alice.send(room, { body: `papaya reply ${statement}`, 'm.relates_to': { rel_type: 'm.thread', event_id: root } }) // prettier-ignore
      await alice.redact(room, reply, `papaya reason ${statement}`)
      await alice.acknowledge(room, root)
      await alice.acknowledge(room, root, 'm.fully_read')
      await server.clock.advance(hour + 1)
      const killed = await sweepKilledBefore(server, statement)
      // What comes then are the rows of other tables.
      isOver = killed === null || killed.includes('log_days')
      if (killed !== null) names.push(killed)
      expect([statement, await orphans(server.ctx.db)]).toEqual([statement, noOrphans])
      const next = await alice.send(room, 'next')
      expect(objectsAt(await alice.messages(room), 'chunk')[0]).toMatchObject({ event_id: next })
      await server.clock.advance(hour + 1)
      await sweep(server.ctx)
      expect([statement, await orphans(server.ctx.db)]).toEqual([statement, noOrphans])
      expect(await tablesThatHold(server.ctx.db, { body: 'papaya' })).toEqual({})
    }
    // It was killed in the middle of everything that it deletes.
    for (const table of ['receipts', 'account_data', 'transactions', 'event_relations', 'log', 'events']) {
      expect([table, names.some(name => name.startsWith(`DELETE FROM ${table} `))]).toEqual([table, true])
    }
    expect((await alice.request('GET', path`/rooms/${room}/state`)).status).toBe(200)
  })
})

/**
 * Sweeps, and ends the database's process that is about to get the n-th statement which writes. Returns that statement's text;
 * `null` if there were fewer and the sweep came to its end.
 */
async function sweepKilledBefore(server: TestServer, count: number): Promise<string | null> {
  const { pool } = server.ctx.db
  const killer = new pg.Client(server.database.url)
  await killer.connect()
  let seen = 0
  let victim: string | null = null
  const restore: (() => void)[] = []
  const watch = (client: pg.PoolClient): void => {
    // node-pg keeps the number of its process, and its types do not tell.
    const { processID } = client as unknown as { processID: number }
    const original = client.query.bind(client) as (...parameters: unknown[]) => unknown
    const spied = (...parameters: unknown[]): unknown => {
      const [first] = parameters
      const query = typeof first === 'string' ? first : ((first as { text?: string }).text ?? '')
      if (!/^\s*(?:DELETE|UPDATE|INSERT|COMMIT|WITH)\b/i.test(query) || victim !== null || ++seen !== count)
        return original(...parameters)
      victim = query
      return killer.query('SELECT pg_terminate_backend($1, 5000)', [processID]).then(() => original(...parameters))
    }
    Object.defineProperty(client, 'query', { value: spied, configurable: true })
    restore.push(() => Reflect.deleteProperty(client, 'query'))
  }
  pool.on('acquire', watch)
  try {
    await sweep(server.ctx)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
  } finally {
    pool.off('acquire', watch)
    for (const each of restore) each()
    await killer.end()
  }
  return victim
}

describe('the operator', () => {
  it('has a default for rooms without a policy, and policies for single rooms', async () => {
    const first = await startTestServer({ loops: [], settings: plainly })
    const person = await register(first)
    const plain = await person.createRoom()
    const named = await person.createRoom()
    const own = await person.createRoom()
    await person.setState(own, 'org.matrix.msc1763.retention', { max_lifetime: 50 * day })
    for (const room of [plain, named, own]) {
      await person.send(room, `lemon of ${room}`)
      await person.send(room, 'last')
    }
    const { ctx, clock, close } = await first.restart({
      retention: { default: { max_lifetime: '2h' }, rooms: { [named]: { max_lifetime: '10h' } } },
    })
    try {
      const bodies = { plain: `lemon of ${plain}`, named: `lemon of ${named}`, own: `lemon of ${own}` }
      await clock.advance(3 * hour)
      await sweep(ctx)
      expect(await tablesThatHold(ctx.db, bodies)).toEqual({ named: ['events'], own: ['events'] })
      await clock.advance(8 * hour)
      await sweep(ctx)
      expect(await tablesThatHold(ctx.db, bodies)).toEqual({ own: ['events'] })
      await clock.advance(50 * day)
      await sweep(ctx)
      expect(await tablesThatHold(ctx.db, bodies)).toEqual({})
    } finally {
      await close()
    }
  })
})

describe('rows past their days', () => {
  it('go when their days are over, and not before', async () => {
    // Dates come from the database, whose clock is the machine's.
    const clock = new TestClock(Date.now())
    const server = await startTestServer({ loops: [], clock, settings: plainly })
    try {
      const alice = await register(server)
      const refreshable = await alice.login({ refresh_token: true })
      const room = await alice.createRoom()
      await alice.send(room, 'kept for ever', 'm.room.message', 'figtransaction')
      await alice.put(path`/sendToDevice/m.test/t1`, {
        messages: { [alice.userId]: { [alice.deviceId]: { fig: 'figmessage' } } },
      })
      await alice.put(path`/user/${alice.userId}/account_data/org.fig`, { fig: 'figdata' })
      await sweep(server.ctx)
      const counts = async () => {
        const { rows } = await server.ctx.db.pool.query<Record<string, number>>(`SELECT
          (SELECT count(*) FROM transactions WHERE transaction_id = 'figtransaction') AS transactions,
          (SELECT count(*) FROM to_device_messages) AS "toDevice",
          (SELECT count(*) FROM log WHERE kind <> 1) > 0 AS log,
          (SELECT count(*) FROM log WHERE kind = 1) > 0 AS events,
          (SELECT count(*) FROM refresh_tokens) AS sessions,
          (SELECT count(*) FROM access_tokens) AS tokens`)
        return rows[0]
      }
      const fresh = { transactions: 1, toDevice: 1, log: true, events: true, sessions: 1, tokens: 2 }
      expect(await counts()).toEqual(fresh)
      const passTo = async (days: number) => {
        const nowDays = (clock.now() - startMs) / day
        await clock.advance((days - nowDays) * day)
        await sweep(server.ctx)
      }
      const startMs = clock.now()

      await passTo(lifetimeDays.transactions - 0.5)
      expect(await counts()).toEqual(fresh)
      await passTo(lifetimeDays.transactions + 1)
      expect(await counts()).toEqual({ ...fresh, transactions: 0 })
      await passTo(lifetimeDays.log - 0.5)
      expect(await counts()).toMatchObject({ log: true })
      await passTo(lifetimeDays.log + 1)
      expect(await counts()).toEqual({ ...fresh, transactions: 0, log: false })
      await passTo(lifetimeDays.to_device_messages - 0.5)
      expect(await counts()).toMatchObject({ toDevice: 1 })
      await passTo(lifetimeDays.to_device_messages + 1)
      expect(await counts()).toMatchObject({ toDevice: 0, sessions: 1, tokens: 2 })
      // A device that is used stays.
      await alice.get('/account/whoami')
      await passTo(181)
      expect(await counts()).toMatchObject({ sessions: 0, tokens: 1, events: true })
      const { rows } = await server.ctx.db.pool.query('SELECT FROM log_days')
      expect(rows.length).toBeLessThanOrEqual(lifetimeDays.log_days + 2)
      // Account data is kept although the log has forgotten when it came.
      expect(await alice.get(path`/user/${alice.userId}/account_data/org.fig`)).toEqual({ fig: 'figdata' })
      expect(refreshable.refreshToken).not.toBeNull()
    } finally {
      await server.close()
    }
  })
})
