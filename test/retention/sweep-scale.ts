/**
 * `npm run bench:sweep`: how long sweeps take in 1,000 rooms, with 100,000 and with 1,000,000 events stored, and what those who
 * are served meanwhile notice. Postgres and the server are this process's own, in a folder that is removed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { loadConfig } from '../../src/config.ts'
import { silentLogger } from '../../src/log.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { sweepStatus } from '../../src/retention/status.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'
import { Person, register } from '../harness/people.ts'

const roomCount = Number(process.env['SWEEP_ROOMS'] ?? 1_000)
const sizes = (process.env['SWEEP_EVENTS'] ?? '100000,1000000').split(',').map(Number)
/** How many messages are due at a time: nothing, a busy minute, a shortened policy. */
const dueCounts = [0, 1_000, 20_000]
const day = 86_400_000
const lifetimeMs = 30 * day

const folder = await mkdtemp(join(tmpdir(), 'lethe-sweep-'))
const postgres = await startEmbeddedPostgres({ dataDir: folder, log: silentLogger })
try {
  if ('url' in postgres.connection) throw new Error('an embedded Postgres has no URL')
  const { host, port, user, database } = postgres.connection
  const url = `postgres://${user}@${encodeURIComponent(host)}:${port}/${database}`
  const db = new pg.Client({ connectionString: url })
  await db.connect()
  try {
    await run(url, db)
  } finally {
    await db.end()
  }
} finally {
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
}

async function run(url: string, db: pg.Client): Promise<void> {
  let server = await start(url)
  const alice = await register(server, 'alice')
  const rooms: string[] = []
  for (let count = 0; count < roomCount; count++) rooms.push(await alice.createRoom({ preset: 'public_chat' }))
  for (const room of rooms) await alice.send(room, 'x'.repeat(100))
  await server.close()

  const lines: string[] = []
  let stored = roomCount
  for (const size of sizes) {
    // Spread over the rooms and over the lifetime, the oldest an hour from its end.
    await seed(db, size - stored, lifetimeMs - 3_600_000)
    stored = size
    for (const table of ['events', 'log']) await db.query(`VACUUM ANALYZE ${table}`)
    for (const due of dueCounts) {
      await seed(db, due, null)
      server = await start(url)
      const before = await sweepStatus(server.ctx)
      if (due > 0 && before.due < due) throw new Error(`only ${before.due} messages are due`)
      const session = { access_token: alice.accessToken, user_id: alice.userId, device_id: alice.deviceId }
      const person = new Person(server.url, session, '')
      const quiet = await latencies(person, rooms, async () => new Promise(resolve => setTimeout(resolve, 3_000)))
      const startedAt = performance.now()
      let swept = 0
      const busy = await latencies(person, rooms, async () => {
        swept = (await sweep(server.ctx))?.byKind.messages ?? 0
      })
      const tookMs = performance.now() - startedAt
      if ((await sweepStatus(server.ctx)).due > 0) throw new Error('something is still due')
      lines.push(
        `${String(size).padStart(9)} stored ${String(swept).padStart(6)} swept in ${(tookMs / 1000).toFixed(2).padStart(6)} s` +
          `   sends meanwhile p50 ${percentile(busy, 0.5)} p99 ${percentile(busy, 0.99)} ms, before p50 ${percentile(quiet, 0.5)} p99 ${percentile(quiet, 0.99)} ms`,
      )
      console.log(lines.at(-1))
      await server.close()
    }
  }
}

function start(url: string): Promise<RunningServer> {
  const env = {
    LETHE_DATA_DIR: folder,
    LETHE_DATABASE__URL: url,
    LETHE_LISTEN__PORT: '0',
    LETHE_METRICS__ENABLED: 'false',
    LETHE_REGISTRATION__MODE: 'open',
    LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
    LETHE_RATE_LIMITS__ENABLED: 'false',
    LETHE_RETENTION__DEFAULT__MAX_LIFETIME: '30d',
  }
  const loaded = loadConfig({ env, cwd: folder })
  if (!loaded.ok) throw new Error(loaded.problems.map(each => each.message).join('; '))
  // Sweeps begin when the script says so.
  return startServer({ config: loaded.config, logger: silentLogger, loops: [] })
}

/** Copies of the rooms' messages: up to `oldestMs` old, or all of them just past their end. */
async function seed(db: pg.Client, count: number, oldestMs: number | null): Promise<void> {
  const age = oldestMs === null ? `$2 - ${lifetimeMs} - 1000` : `$2 - (random() * ${oldestMs})::bigint`
  for (let done = 0; done < count; done += 50_000) {
    const batch = Math.min(50_000, count - done)
    await db.query('BEGIN')
    const numbers = await db.query<{ first: string }>(
      `SELECT last_value + 1000 AS first, setval('event_numbers', last_value + 1000 * (2 + $1::bigint / 1000)) FROM event_numbers`,
      [batch],
    )
    const head = await db.query<{ first: string }>(
      'UPDATE log_head SET position = position + $1 RETURNING position - $1 AS first',
      [batch],
    )
    await db.query(
      `WITH model AS (SELECT DISTINCT ON (room_number) *, row_number() OVER () AS place FROM (
           SELECT * FROM events WHERE state_key_number IS NULL AND flags = 0 ORDER BY event_number LIMIT ${roomCount}) m),
         made AS (
           INSERT INTO events (event_number, room_number, position, event_id, type_number, sender_number, depth,
             origin_server_ts, age_ts, snapshot_number, body)
           SELECT $3::bigint + n, m.room_number, $4::bigint + n, '$' || md5($4::bigint + n || 'seed'), m.type_number,
             m.sender_number, m.depth, aged.ts, aged.ts, m.snapshot_number, m.body
           FROM generate_series(1, $1::bigint) n JOIN model m ON m.place = 1 + n % (SELECT count(*) FROM model)
             CROSS JOIN LATERAL (SELECT ${age} AS ts WHERE n > 0) aged
           RETURNING position, room_number, event_number)
       INSERT INTO log (position, kind, room_number, reference) SELECT position, 1, room_number, event_number FROM made`,
      [batch, Date.now(), numbers.rows[0]?.first, head.rows[0]?.first],
    )
    await db.query('COMMIT')
  }
}

/** How long sends take in milliseconds, 50 a second, one at a time, while something goes on. */
async function latencies(person: Person, rooms: readonly string[], work: () => Promise<unknown>): Promise<number[]> {
  let isOver = false
  const working = work().finally(() => (isOver = true))
  const times: number[] = []
  for (let count = 0; !isOver || count < 20; count++) {
    const startedAt = performance.now()
    await person.send(
      rooms[(count * 37) % rooms.length] ?? '',
      'while it sweeps',
      'm.room.message',
      `sweep ${startedAt}`,
    )
    times.push(performance.now() - startedAt)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  await working
  return times.sort((one, other) => one - other)
}

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1)
}
