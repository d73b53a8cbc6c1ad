import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { silentLogger } from '../../src/log.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'
import { readPidFile } from '../../src/storage/embedded-postgres/postmaster.ts'
import { type TestDatabase } from '../harness/database.ts'
import { FaultClient, follow, type Message } from './homeserver-client.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

const rounds = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 2)
const isLong = process.env['LETHE_FAULT_FORM'] === 'long'
const writers = 8

/** A cluster of the test's own, and a server process on it. */
class Victim {
  readonly #folder: Awaited<ReturnType<typeof dataFolder>>
  readonly #postgres: EmbeddedPostgres
  readonly #connection: { host: string; port: number; user: string; database: string }
  readonly server: ServerProcess

  private constructor(
    folder: Awaited<ReturnType<typeof dataFolder>>,
    postgres: EmbeddedPostgres,
    connection: { host: string; port: number; user: string; database: string },
    server: ServerProcess,
  ) {
    this.#folder = folder
    this.#postgres = postgres
    this.#connection = connection
    this.server = server
  }

  static async start(settings: Readonly<Record<string, string>>): Promise<Victim> {
    const folder = await dataFolder()
    const dataDir = join(folder.path, 'database')
    // A kill does not lose what was given to the system, forced to the disk or not.
    const postgres = await startEmbeddedPostgres({ dataDir, log: silentLogger, fsync: false, settings })
    const { connection } = postgres
    if ('url' in connection) throw new Error('an embedded Postgres has no URL')
    const { host, port, user, database } = connection
    const url = `postgres://${user}@${encodeURIComponent(host)}:${port}/${database}`
    const reached: TestDatabase = { url, connection, drop: () => Promise.resolve() }
    return new Victim(folder, postgres, connection, await startServerProcess(reached, folder.path))
  }

  /** Kills Postgres with all its processes; resolves when it is there again: it is started again by itself. */
  async killPostgres(): Promise<void> {
    const file = await readPidFile(join(this.#folder.path, 'database', 'postgres'))
    if (!file) throw new Error('Postgres does not run')
    const children = await childrenOf(file.pid)
    for (const pid of [file.pid, ...children]) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself: its parent is dead.
      }
    }
    while (!(await this.#answers())) await new Promise(resolve => setTimeout(resolve, 20))
  }

  async setting(name: string): Promise<string> {
    const client = new pg.Client(this.#connection)
    await client.connect()
    const { rows } = await client.query<Record<string, string>>(`SHOW ${name}`)
    await client.end()
    return Object.values(rows[0] ?? {})[0] ?? ''
  }

  /** Forces to the disk what has been committed so far. */
  async flush(): Promise<void> {
    const client = new pg.Client(this.#connection)
    await client.connect()
    await client.query('SET synchronous_commit = on')
    await client.query('SELECT pg_current_xact_id()')
    await client.end()
  }

  async end(): Promise<void> {
    await this.server.end('SIGKILL')
    await this.#postgres.stop()
    await this.#folder.remove()
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client(this.#connection)
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return true
    } catch {
      // Not yet.
      return false
    }
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const ps = spawn('ps', ['-A', '-o', 'pid=,ppid='])
  let listed = ''
  ps.stdout.on('data', chunk => (listed += String(chunk)))
  await once(ps, 'close')
  const pairs = listed.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number)) // prettier-ignore
  return pairs.flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []))
}

interface Outcome {
  /** Event IDs that were acknowledged, by what was sent. */
  readonly acknowledged: ReadonlyMap<string, string>
  readonly stored: readonly Message[]
  /** What each of those who followed by /sync has seen. */
  readonly seen: readonly (readonly Message[])[]
  readonly recoveriesMs: readonly number[]
}

/** Writes and follows while Postgres is killed again and again. */
async function run(
  victim: Victim,
  clients: { readonly writer: FaultClient; readonly reader: FaultClient },
  kills: number,
): Promise<Outcome> {
  // prettier-ignore
  const { writer, reader } = clients
  await writer.register('alice')
  reader.token = writer.token
  const roomId = String((await writer.insist('POST', '/createRoom', { preset: 'private_chat' }))['room_id'])
  const acknowledged = new Map<string, string>()
  let isOver = false
  let isWritten = false
  const following = [0, 1].map(() => follow(reader, roomId, () => isWritten))
  const writing = Array.from({ length: writers }, async (_, index) => {
    for (let number = 0; !isOver; number++) {
      const body = `${index}-${number}`
      acknowledged.set(body, String((await writer.send(roomId, body))['event_id']))
    }
  })
  const failure = Promise.all(writing)
  const until = async (condition: () => boolean) => {
    while (!condition()) await Promise.race([failure, new Promise(resolve => setTimeout(resolve, 5))])
  }
  const recoveriesMs: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    const before = acknowledged.size
    await until(() => acknowledged.size >= before + 100 + 37 * (kill % 5))
    await victim.killPostgres()
    const backMs = performance.now()
    const after = acknowledged.size
    await until(() => acknowledged.size > after)
    recoveriesMs.push(performance.now() - backMs)
  }
  isOver = true
  await failure
  isWritten = true
  const seen = await Promise.all(following)
  return { acknowledged, stored: await writer.messages(roomId), seen, recoveriesMs }
}

const lostOf = ({ acknowledged, stored }: Pick<Outcome, 'acknowledged' | 'stored'>): string[] => {
  const byBody = new Map(stored.map(({ body, eventId }) => [body, eventId]))
  return [...acknowledged].flatMap(([body, eventId]) => (byBody.get(body) === eventId ? [] : [body]))
}

describe('a server whose Postgres is killed under load', () => {
  let victim: Victim
  beforeAll(async () => {
    victim = await Victim.start({})
  }, 60_000)
  afterAll(() => victim?.end())

  it(
    'lives, says "try again" meanwhile, and has every acknowledged message once and in the order that it told',
    async () => {
      const writer = new FaultClient(() => victim.server.url)
      const reader = new FaultClient(() => victim.server.url)
      expect(await victim.setting('synchronous_commit')).toBe('on')
      const outcome = await run(victim, { writer, reader }, rounds)
      expect([...writer.wrong, ...reader.wrong]).toEqual([])
      expect(writer.statuses.get(503)).toBeGreaterThan(0)
      expect(lostOf(outcome)).toEqual([])
      const order = outcome.stored.map(({ eventId }) => eventId)
      expect(new Set(order).size).toBe(order.length)
      expect(new Set(outcome.stored.map(({ body }) => body)).size).toBe(order.length)
      expect(order).toHaveLength(outcome.acknowledged.size)
      for (const seen of outcome.seen) expect(seen.map(({ eventId }) => eventId)).toEqual(order.slice(order.length - seen.length)) // prettier-ignore
      expect(Math.max(...outcome.recoveriesMs)).toBeLessThan(5_000)
      expect(victim.server.child.exitCode).toBeNull()
      expect(await victim.server.end('SIGTERM')).toBe(0)
    },
    120_000 + rounds * 20_000,
  )
})

const control = isLong ? describe : describe.skip
control('the same with commits that are not waited for', () => {
  let victim: Victim
  beforeAll(async () => {
    victim = await Victim.start({ synchronous_commit: 'off', wal_writer_delay: '2s' })
  }, 60_000)
  afterAll(() => victim?.end())

  it('loses messages, which this test sees', async () => {
    const writer = new FaultClient(() => victim.server.url)
    expect(await victim.setting('synchronous_commit')).toBe('off')
    await writer.register('alice')
    const roomId = String((await writer.insist('POST', '/createRoom', { preset: 'private_chat' }))['room_id'])
    await victim.flush()
    const acknowledged = new Map<string, string>()
    for (let number = 0; number < 200; number++) {
      acknowledged.set(String(number), String((await writer.send(roomId, String(number)))['event_id']))
    }
    await victim.killPostgres()
    expect(lostOf({ acknowledged, stored: await writer.messages(roomId) }).length).toBeGreaterThan(0)
  }, 60_000)
})
