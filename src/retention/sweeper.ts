import { type Context } from '../context.ts'
import { describeError } from '../log.ts'
import { sweepMedia } from '../media/delete.ts'
import { bucketOf } from '../privacy/seal.ts'
import { lifetimeDays } from '../privacy/lifetimes.ts'
import { type EventId } from '../protocol/identifiers.ts'
import { effectivePolicy, retentionStateTypes } from '../protocol/retention.ts'
import { prunedEvent } from '../rooms/append.ts'
import { deleteOldAuditedUses } from '../storage/admin-audit.ts'
import { shred } from './shred.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { DatabaseError, transaction, type Tx } from '../storage/database.ts'
import { eventBody, eventsByNumber } from '../storage/events.ts'
import { deleteExpiredInteractiveAuthSessions } from '../storage/interactive-auth.ts'
import { deleteExpiredReceipts } from '../storage/erasures.ts'
import { deleteExpiredJoinLinks } from '../storage/join-links.ts'
import { deleteOldJobs } from '../storage/background-jobs.ts'
import { deleteOldReports } from '../storage/reports.ts'
import { retentionOverridesOf } from '../storage/retention-overrides.ts'
import { deleteExpiredPageSessions } from '../storage/page-sessions.ts'
import { expiredEvents, type ExpiredEvent, forgetEvents, roomsAfter, roomsWithExpired, type RoomsWanted, stateEventsOf, type SweptRoom } from '../storage/sweep.ts' // prettier-ignore
import {
  deleteExpiredSessions, deleteOldLogDays, deleteOldLogEntries, deleteOldToDeviceMessages, deleteOldTransactions,
  noteLogDay,
} from '../storage/sweep-rows.ts' // prettier-ignore
import { deleteExpiredLoginTokens } from '../storage/tokens.ts'
import { clockWatch } from './clock-watch.ts'

/** How many rooms are looked at together. */
const roomPageSize = 500
/** How many events one transaction deletes at most. */
const eventBatchSize = 200
/** How many rows of other tables one transaction deletes at most. */
const rowBatchSize = 1_000

const dayMs = 24 * 60 * 60 * 1000

/** What a sweep came to. */
export interface Swept {
  /** Messages that were deleted, or pruned where the room is built on them. */
  readonly events: number
  /** Whatever else was deleted. */
  readonly rows: number
}

/**
 * Deletes what has outlived its lifetime: messages, with all that points to them, and the rows of other tables. Every batch is a
 * transaction of its own, so it may be stopped or killed at any point and goes on where it was. Returns `null` if another
 * process is at it. Throws `DatabaseError`.
 */
export function sweep(ctx: Context, signal: AbortSignal = ctx.shutdown): Promise<Swept | null> {
  return whileAlone(ctx.db, 'sweeper', async () => {
    const swept = { events: await sweepEvents(ctx, signal), rows: await sweepRows(ctx, signal) }
    // Last: what has expired is gone by now, so what is left in a bucket that passes is to live on.
    await shred(ctx, signal)
    return swept
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
  for (;;) {
    // It rejects for no other reason than that it is to stop.
    await ctx.clock.sleep(ctx.config.retention.sweepInterval, signal).catch(() => undefined)
    if (signal.aborted) return
    try {
      if (!(await clockWatch(ctx).isTrusted())) continue
      const swept = await sweep(ctx, signal)
      // Somebody else swept, and may have destroyed keys.
      if (!swept) await ctx.keyring.refresh()
      if (swept && swept.events + swept.rows > 0) {
        ctx.logger.debug('Swept', { component: 'sweeper', count: swept.events, total: swept.events + swept.rows })
      }
    } catch (error) {
      // The next sweep goes on where this one ended; until then readers do not see what has expired.
      ctx.logger.warn('A sweep did not come to its end', { component: 'sweeper', ...describeError(error) })
    }
  }
}

// Messages ------------------------------------------------------------------------------------------------------------

/** A room, and the age below which its messages have expired. */
interface Cutoff extends SweptRoom {
  readonly cutoffTs: number
  /** The bucket of what expires now. */
  readonly passingBucket: number
}

async function sweepEvents(ctx: Context, signal: AbortSignal): Promise<number> {
  const settings = ctx.config.retention
  const wanted: RoomsWanted =
    settings.default.maxLifetime === null
      ? { stateTypes: retentionStateTypes, roomIds: Object.keys(settings.rooms) }
      : 'all'
  let count = 0
  for (let after = 0; !signal.aborted;) {
    const page = await roomsAfter(ctx.db.kysely, after, roomPageSize, wanted)
    const cutoffs = await cutoffsOf(ctx, page)
    const due = await roomsWithExpired(ctx.db.kysely, cutoffs)
    for (const room of cutoffs) {
      if (signal.aborted) break
      if (due.has(room.roomNumber)) count += await sweepRoom(ctx, room, signal)
    }
    const last = page.at(-1)
    if (!last || page.length < roomPageSize) break
    after = last.roomNumber
  }
  return count
}

/** Those of the rooms that have a lifetime, by the same policy that readers go by. */
async function cutoffsOf(ctx: Context, rooms: readonly SweptRoom[]): Promise<Cutoff[]> {
  const numbers = rooms.map(room => room.roomNumber)
  const states = await stateEventsOf(ctx.db.kysely, ctx.numbers, numbers, retentionStateTypes)
  const overrides = await retentionOverridesOf(ctx.db.kysely, numbers)
  const nowTs = ctx.clock.now()
  return rooms.flatMap(room => {
    const ofRoom = states.get(room.roomNumber) ?? []
    const stateOf = (type: string) => ofRoom.find(({ event }) => event.type === type)?.event.content ?? null
    const { maxLifetime } = effectivePolicy(ctx.config.retention, room.roomId, stateOf, overrides.get(room.roomNumber) ?? null) // prettier-ignore
    return maxLifetime === null
      ? []
      : [{ ...room, cutoffTs: nowTs - maxLifetime, passingBucket: bucketOf(nowTs, maxLifetime) }]
  })
}

async function sweepRoom(ctx: Context, room: Cutoff, signal: AbortSignal): Promise<number> {
  let count = 0
  try {
    while (!signal.aborted) {
      const batch = await transaction(ctx.db, tx => sweepBatch(ctx, tx, room), { isolation: 'repeatable read' })
      count += batch
      if (batch < eventBatchSize) break
    }
  } catch (error) {
    // Somebody else needed one of the rows: the next sweep has another try.
    if (!(error instanceof DatabaseError && error.code === '55P03')) throw error
  } finally {
    // Told apart from the deletion: a transaction that waits for the log while it holds rows could hold up every sender.
    if (count > 0) await ctx.log.post([{ kind: 'room', roomId: room.roomId }])
  }
  return count
}

async function sweepBatch(ctx: Context, tx: Tx, room: Cutoff): Promise<number> {
  const events = await expiredEvents(tx, room.roomNumber, room.cutoffTs, eventBatchSize)
  if (events.length === 0) return 0
  await forgetEvents(tx, ctx.numbers.sealer, {
    roomNumber: room.roomNumber,
    events,
    pruned: await prunedForms(ctx, tx, room, events),
    passingBucket: room.passingBucket,
  })
  return events.length
}

/** The texts of those of the events that the room is built on: no more than the room needs. */
async function prunedForms(
  ctx: Context,
  tx: Tx,
  { roomId }: SweptRoom,
  events: readonly ExpiredEvent[],
): Promise<{ readonly eventNumber: number; readonly eventId: EventId; readonly body: string }[]> {
  const extremities = events.filter(({ isExtremity }) => isExtremity)
  const facts = await ctx.numbers.room(roomId)
  if (!facts || extremities.length === 0) return []
  const stored = await eventsByNumber(tx, ctx.numbers, extremities.map(({ eventNumber }) => eventNumber)) // prettier-ignore
  return extremities.map(({ eventNumber, eventId }) => {
    const event = stored.find(each => each.eventNumber === eventNumber)
    const pruned = event && prunedEvent(event.event, facts.version)
    // A row that cannot be read is of no use to the room either way.
    return { eventNumber, eventId, body: pruned ? eventBody(pruned, facts.version) : '{}' }
  })
}

// Other rows ----------------------------------------------------------------------------------------------------------

async function sweepRows(ctx: Context, signal: AbortSignal): Promise<number> {
  const nowTs = ctx.clock.now()
  const daysAgo = (days: number) => new Date(nowTs - days * dayMs).toISOString().slice(0, 10)
  await transaction(ctx.db, tx => noteLogDay(tx, daysAgo(0)))
  const tsBefore = (days: number) => nowTs - days * dayMs
  const steps: ((tx: Tx) => Promise<number>)[] = [
    tx => deleteOldTransactions(tx, daysAgo(lifetimeDays.transactions), rowBatchSize),
    tx => deleteOldToDeviceMessages(tx, daysAgo(lifetimeDays.to_device_messages), rowBatchSize),
    tx => deleteOldLogEntries(tx, daysAgo(lifetimeDays.log), rowBatchSize),
    tx => deleteOldLogDays(tx, daysAgo(lifetimeDays.log_days)),
    tx => deleteExpiredSessions(tx, nowTs, rowBatchSize),
    tx => deleteExpiredLoginTokens(tx, nowTs),
    tx => deleteExpiredJoinLinks(tx, nowTs),
    tx => deleteExpiredPageSessions(tx, nowTs),
    tx => deleteExpiredReceipts(tx, nowTs),
    tx => deleteExpiredInteractiveAuthSessions(tx, nowTs, rowBatchSize),
    tx => deleteOldAuditedUses(tx, tsBefore(lifetimeDays.admin_audit), rowBatchSize),
    tx => deleteOldJobs(tx, tsBefore(lifetimeDays.background_jobs), rowBatchSize),
    tx => deleteOldReports(tx, tsBefore(lifetimeDays.reports), rowBatchSize),
  ]
  let count = 0
  for (const step of steps) {
    for (let batch = rowBatchSize; batch >= rowBatchSize && !signal.aborted; count += batch) {
      batch = await transaction(ctx.db, step)
    }
  }
  for (let batch = 1; batch > 0 && !signal.aborted; count += batch) batch = await sweepMedia(ctx)
  return count
}
