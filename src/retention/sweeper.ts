import { type Context, perServer } from '../context.ts'
import { describeError } from '../log.ts'
import { sweepMedia } from '../media/delete.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { noteSweepEnd, noteSweepStart, vacuumHotTables } from '../storage/sweeps.ts'
import { clockWatch } from './clock-watch.ts'
import { shred } from './shred.ts'
import { sweepEvents } from './sweep-events.ts'
import { sweepDevices, sweepInvites, sweepRooms } from './sweep-rooms.ts'
import { sweepRows } from './sweep-rows.ts'

/** What is swept, in the words of the metrics. */
export const sweptKinds = ['messages', 'states', 'rows', 'devices', 'invites', 'rooms', 'media'] as const

export type SweptKind = (typeof sweptKinds)[number]

/** What a sweep came to. */
export interface Swept {
  /** Messages that were deleted, or pruned where the room is built on them. */
  readonly events: number
  /** Whatever else was deleted or pruned. */
  readonly rows: number
  readonly byKind: Readonly<Record<SweptKind, number>>
}

/** How long what takes a look at every room, device and invitation may wait. */
const housekeepingIntervalMs = 60 * 60 * 1000
/** After so many deleted events the tables are vacuumed, so that their place is used again. */
const vacuumAfter = 10_000

/** What this process remembers between its sweeps. */
class Memory {
  /** By this process, since it started. */
  readonly total: Record<SweptKind, number> = emptyCounts()
  sweeps = 0
  failures = 0
  lastEndedTs: number | null = null
  lastDurationMs: number | null = null
  lastHousekeepingTs: number | null = null
  sinceVacuum = 0
}

/** For the metrics and for `sweepStatus`. */
export const sweepMemory = perServer(() => new Memory())

function emptyCounts(): Record<SweptKind, number> {
  return { messages: 0, states: 0, rows: 0, devices: 0, invites: 0, rooms: 0, media: 0 }
}

/**
 * Deletes what has outlived its lifetime: messages with all that points to them, old state, media, devices, invitations, rooms
 * and the rows of other tables. Every batch is a transaction of its own, so it may be stopped or killed at any point and goes on
 * where it was. With `due` only what is found without looking at everything there is. Returns `null` if another process is at
 * it. Throws `DatabaseError`.
 */
export function sweep(
  ctx: Context,
  signal: AbortSignal = ctx.shutdown,
  scope: 'all' | 'due' = 'all',
): Promise<Swept | null> {
  return whileAlone(ctx.db, 'sweeper', async () => {
    const startedAt = ctx.clock.monotonic()
    await noteSweepStart(ctx.db, ctx.clock.now())
    const memory = sweepMemory(ctx)
    const counts = emptyCounts()
    const add = (kind: SweptKind, count: number) => {
      counts[kind] += count
      memory.total[kind] += count
    }
    const { messages, states } = await sweepEvents(ctx, signal)
    add('messages', messages)
    add('states', states)
    add('rows', await sweepRows(ctx, signal))
    add('rooms', await sweepRooms(ctx, signal, { longLeft: scope === 'all' }))
    if (scope === 'all') {
      add('devices', await sweepDevices(ctx, signal))
      add('invites', await sweepInvites(ctx, signal))
    }
    for (let batch = 1; batch > 0 && !signal.aborted; add('media', batch)) batch = await sweepMedia(ctx)
    // What has expired is gone by now, so what is left in a bucket that passes is to live on.
    await shred(ctx, signal)
    memory.sinceVacuum += messages
    if (memory.sinceVacuum >= vacuumAfter && !signal.aborted) {
      memory.sinceVacuum = 0
      await vacuumHotTables(ctx.db, ctx.logger)
    }
    memory.sweeps++
    memory.lastEndedTs = ctx.clock.now()
    memory.lastDurationMs = ctx.clock.monotonic() - startedAt
    if (!signal.aborted) await noteSweepEnd(ctx.db, memory.lastEndedTs, memory.lastDurationMs, counts)
    const rows = sweptKinds.reduce((sum, kind) => sum + (kind === 'messages' ? 0 : counts[kind]), 0)
    return { events: messages, rows, byKind: counts }
  })
}

/** Sweeps at the interval of the settings while the server runs. */
export const sweeper = {
  name: 'sweeper',
  start(ctx: Context): () => Promise<void> {
    const stopping = new AbortController()
    clockWatch(ctx)
    const running = sweepOnAndOn(ctx, stopping.signal)
    return async () => {
      stopping.abort()
      await running
    }
  },
}

async function sweepOnAndOn(ctx: Context, signal: AbortSignal): Promise<void> {
  const memory = sweepMemory(ctx)
  for (;;) {
    // It rejects for no other reason than that it is to stop.
    // Twice in the interval: what was due just after a sweep is gone before the interval is over.
    await ctx.clock.sleep(ctx.config.retention.sweepInterval / 2, signal).catch(() => undefined)
    if (signal.aborted) return
    const nowTs = ctx.clock.now()
    const isLongAgo = memory.lastHousekeepingTs === null || nowTs - memory.lastHousekeepingTs >= housekeepingIntervalMs
    try {
      if (!(await clockWatch(ctx).isTrusted())) continue
      const swept = await sweep(ctx, signal, isLongAgo ? 'all' : 'due')
      if (isLongAgo) memory.lastHousekeepingTs = nowTs
      // Somebody else swept, and may have destroyed keys.
      if (!swept) await ctx.keyring.refresh()
      if (swept && swept.events + swept.rows > 0) {
        ctx.logger.debug('Swept', { component: 'sweeper', count: swept.events, total: swept.events + swept.rows })
      }
    } catch (error) {
      memory.failures++
      // The next sweep goes on where this one ended; until then readers do not see what has expired.
      ctx.logger.warn('A sweep did not come to its end', { component: 'sweeper', ...describeError(error) })
    }
  }
}
