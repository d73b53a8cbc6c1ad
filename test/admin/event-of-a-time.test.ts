import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { path, type Person, register } from '../harness/people.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { errcodeOf } from '../house/world.ts'
import { registerAdmin } from './people.ts'

let server: TestServer
let admin: Person

beforeAll(async () => {
  // Unsealed, so that copies of a row are events too.
  server = await startTestServer({ loops: [], settings: plainly })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`

describe('the event of a time', () => {
  const ask = (room: string, query: Record<string, string | number>) =>
    admin.get(v1(path`/rooms/${room}/timestamp_to_event`), query)

  it('is found past many that have expired, and past state', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    for (let count = 0; count < 12; count++) await user.send(room, 'will expire')
    await server.clock.advance(60_000)
    const state = await user.setState(room, 'm.room.topic', { topic: 'between' })
    const sinceTs = server.clock.now()
    await user.setState(room, 'm.room.retention', { max_lifetime: 60_000 })
    await server.clock.advance(30_000)
    const late = await user.send(room, 'late')
    await server.clock.advance(30_000 - 1)
    expect(await ask(room, { ts: sinceTs - 60_000, dir: 'f' })).toMatchObject({ origin_server_ts: sinceTs - 60_000 })
    expect(await ask(room, { ts: sinceTs - 59_999, dir: 'f' })).toMatchObject({ event_id: state })
    expect(await ask(room, { ts: sinceTs + 1, dir: 'f' })).toMatchObject({ event_id: late })
    await server.clock.advance(30_002)
    const beyond = await admin.request('GET', v1(path`/rooms/${room}/timestamp_to_event?ts=${String(sinceTs + 1)}`))
    expect(errcodeOf(beyond.json)).toBe('M_NOT_FOUND')
  })

  it('costs the same in a long room', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const original = await user.send(room, 'to be copied')
    const { pool } = server.ctx.db
    // Each a millisecond and a position after the one before.
    await pool.query(
      `INSERT INTO events (event_number, room_number, position, event_id, type_number, sender_number, depth, origin_server_ts, age_ts, body)
       SELECT event_number + 1e9::bigint + i, room_number, position + 1e9::bigint + i, event_id || i, type_number, sender_number,
         depth, origin_server_ts + i, age_ts + i, body
       FROM events, generate_series(1, 20000) i WHERE event_id = $1`,
      [original],
    )
    await pool.query('VACUUM ANALYZE events')
    const reads = async () => {
      const { rows } = await pool.query<{ count: number }>(
        `SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) AS count FROM pg_stat_user_tables WHERE relname = 'events'`,
      )
      return rows[0]?.count ?? 0
    }
    const ts = server.clock.now() + 10_000
    for (const dir of ['f', 'b']) {
      const before = await reads()
      expect(await ask(room, { ts, dir })).toMatchObject({ event_id: `${original}10000` })
      // Postgres tells what a backend has read some seconds later, so what came before is partly among it.
      for (let tries = 0; tries < 40 && (await reads()) === before; tries++) await sleep(100)
      const read = (await reads()) - before
      expect(read).toBeGreaterThan(0)
      expect(read).toBeLessThan(1_000)
    }
  }, 30_000)
})
