import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type LogEntry } from '../../src/storage/log-entries.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { type StorageContext, storageContext } from '../harness/storage-context.ts'

const writerProgram = fileURLToPath(new URL('log-writer.ts', import.meta.url))
const user = (name: string) => `@${name}:test.example` as UserId // A user ID by construction.

let server: StorageContext

beforeEach(async () => {
  server = await storageContext()
})
afterEach(() => server.close())

interface Writer {
  readonly child: ChildProcess
  /** `name-writer/number` of every write that was answered. */
  readonly acked: Set<string>
  readonly done: Promise<unknown>
}

function startWriter(name: string, writers: number, writes: number): Writer {
  const child = spawn(process.execPath, [writerProgram, server.database.url, name, String(writers), String(writes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acked = new Set<string>()
  const lines = createInterface({ input: child.stdout })
  lines.on('line', line => {
    // What log-writer.ts writes; the line that a kill cut off is not one.
    if (!line.endsWith('}')) return
    const message = JSON.parse(line) as { acked?: [number, number, number] }
    if (message.acked) acked.add(`${name}-${message.acked[0]}/${message.acked[1]}`)
  })
  return { child, acked, done: Promise.all([once(child, 'exit'), once(lines, 'close')]) }
}

/** Follows the log as a subscriber does, and remembers all it was told. */
function follow(context: StorageContext['ctx']): { entries: LogEntry[]; stop: () => void } {
  const entries: LogEntry[] = []
  const stop = context.log.subscribe(fresh => entries.push(...fresh))
  return { entries, stop }
}

function nameOf(entry: LogEntry): string {
  return entry.kind === 'account_data' ? `${entry.userId.slice(1).split(':')[0]}/${entry.type.slice(1)}` : entry.kind
}

describe('the log', () => {
  it('tells a reader everything that writers in two processes commit, once and in order', async () => {
    const followed = follow(server.ctx)
    const writers = [startWriter('one', 8, 60), startWriter('two', 8, 60)]
    const mine = Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        for (let number = 0; number < 60; number++) {
          await server.ctx.log.post([
            { kind: 'account_data', userId: user(`here-${writer}`), roomId: null, type: `n${number}`, content: '{}' },
          ])
        }
      }),
    )
    await Promise.all([mine, ...writers.map(writer => writer.done)])
    const total = 2 * 8 * 60 + 4 * 60
    expect(await server.ctx.log.reached(total, 10_000)).toBe(true)
    expect(followed.entries.map(entry => entry.position)).toEqual(
      Array.from({ length: total }, (_, index) => index + 1),
    )
    expect(new Set(followed.entries.map(nameOf)).size).toBe(total)
    for (const writer of writers) {
      expect(writer.acked.size).toBe(8 * 60)
      // Each writer waits for its answer before it writes again, so its own writes are in order.
      for (let index = 0; index < 8; index++) {
        const own = followed.entries.map(nameOf).filter(name => [...writer.acked].includes(name) && name.split('/')[0]?.endsWith(`-${index}`)) // prettier-ignore
        expect(own.map(name => Number(name.split('/')[1]))).toEqual(Array.from({ length: 60 }, (_, number) => number))
      }
    }
  }, 60_000)

  it('keeps every acknowledged write, once, when its process is killed under load', async () => {
    const followed = follow(server.ctx)
    const acked = new Set<string>()
    for (let round = 0; round < 5; round++) {
      const writer = startWriter(`round${round}`, 16, 1_000_000)
      while (writer.acked.size < 200 + 50 * round) await new Promise(setImmediate)
      writer.child.kill('SIGKILL')
      await writer.done
      for (const name of writer.acked) acked.add(name)
    }
    const head = await server.ctx.log.post([{ kind: 'session', userId: user('last') }])
    expect(await server.ctx.log.reached(head, 10_000)).toBe(true)
    const told = followed.entries.map(nameOf)
    expect(followed.entries.map(entry => entry.position)).toEqual(Array.from({ length: head }, (_, index) => index + 1))
    const times = new Map<string, number>()
    for (const name of told) times.set(name, (times.get(name) ?? 0) + 1)
    expect([...acked].filter(name => times.get(name) !== 1)).toEqual([])
  }, 60_000)

  it('settles each member of a batch by itself when one of them fails', async () => {
    const { ctx } = server
    const good = { kind: 'account_data', userId: user('good'), roomId: null, type: 'a', content: '{}' } as const
    // No device of that length can exist, and no type either: the database refuses the row.
    const bad = { ...good, userId: user('bad'), type: 'x'.repeat(300) }
    const outcomes = await Promise.allSettled([
      ctx.log.post([good]),
      ctx.log.post([bad]),
      ctx.log.post([{ ...good, type: 'b' }]),
    ])
    expect(outcomes.map(outcome => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    const head = await ctx.log.post([{ ...good, type: 'c' }])
    // The refused write left no hole.
    expect(head).toBe(3)
  })

  it('takes no position for a transaction that is rolled back', async () => {
    const { ctx } = server
    const refused = ctx.log.transact(async (_tx, announce) => {
      announce({ kind: 'profile', userId: user('nobody') })
      throw new Error('changed my mind')
    })
    await expect(refused).rejects.toThrow('changed my mind')
    expect(await ctx.log.post([{ kind: 'profile', userId: user('somebody') }])).toBe(1)
  })

  it('goes on when the database ends its connections, and tells what others wrote meanwhile', async () => {
    const { ctx } = server
    const other = await server.another()
    try {
      const followed = follow(ctx)
      await ctx.log.post([{ kind: 'profile', userId: user('before') }])
      await other.ctx.db.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      )
      const write = async (context: StorageContext['ctx'], name: string): Promise<number> => {
        for (;;) {
          try {
            return await context.log.post([{ kind: 'profile', userId: user(name) }])
          } catch (error) {
            if (!(error instanceof Error && 'errcode' in error)) throw error
          }
        }
      }
      await write(other.ctx, 'other')
      const head = await write(ctx, 'after')
      expect(await ctx.log.reached(head, 10_000)).toBe(true)
      expect(followed.entries.map(entry => entry.position)).toEqual(
        Array.from({ length: head }, (_, index) => index + 1),
      )
      expect(followed.entries.map(entry => ('userId' in entry ? entry.userId : null))).toContain(user('other'))
    } finally {
      await other.close()
    }
  }, 30_000)

  it('tells broadcasts to every process without writing them down', async () => {
    const { ctx } = server
    const other = await server.another()
    try {
      const heard = new Promise(resolve => other.ctx.log.onBroadcast(resolve))
      ctx.log.broadcast({ kind: 'typing', payload: '{"a":1}' })
      expect(await heard).toEqual({ kind: 'typing', payload: '{"a":1}' })
      expect(ctx.log.head).toBe(0)
    } finally {
      await other.close()
    }
  })
})
