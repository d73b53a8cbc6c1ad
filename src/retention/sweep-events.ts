import { type Context } from '../context.ts'
import { bucketOf } from '../privacy/seal.ts'
import { prunedEvent } from '../rooms/append.ts'
import { DatabaseError, transaction, type Tx } from '../storage/database.ts'
import { eventBody, eventsByNumber } from '../storage/events.ts'
import {
  currentAmong, type Cutoff, expiredEvents, type ExpiredEvent, forgetEvents, type PrunedBody, pruneStates, roomsWithExpired,
  roomsWithTimedOut, staleStates, type SweptRoom, timedOutEvents,
} from '../storage/sweep.ts' // prettier-ignore
import { cutoffPages } from './cutoffs.ts'

/** How many events one transaction deletes or prunes at most. */
const eventBatchSize = 500
/** Of how many rooms one transaction deletes events. */
const roomBatchSize = 50

/** How many messages were deleted, and how many pieces of old state pruned. */
export interface SweptEvents {
  readonly messages: number
  readonly states: number
}

/** Deletes the messages that have outlived their policy or their own time, and prunes old state that is not current. */
export async function sweepEvents(ctx: Context, signal: AbortSignal): Promise<SweptEvents> {
  let messages = 0
  let states = 0
  for await (const cutoffs of cutoffPages(ctx)) {
    if (signal.aborted) break
    const due = await roomsWithExpired(ctx.db.kysely, cutoffs)
    // Rooms of one width of buckets together.
    const rooms = cutoffs
      .filter(({ roomNumber }) => due.has(roomNumber))
      .sort((one, other) => one.passingBucket - other.passingBucket)
    messages += await sweepMessages(ctx, rooms, (tx, some) => expiredEvents(tx, some, eventBatchSize), signal)
    states += await sweepStates(ctx, cutoffs, signal)
  }
  for (;;) {
    const nowTs = ctx.clock.now()
    const found = signal.aborted ? [] : await roomsWithTimedOut(ctx.db.kysely, nowTs, eventBatchSize)
    // The narrowest there is: a timer says nothing of how wide the bucket was.
    const rooms = found.map(room => ({ ...room, passingBucket: bucketOf(nowTs, 0) }))
    const find = (tx: Tx, some: readonly SweptRoom[]) => timedOutEvents(tx, some, nowTs, eventBatchSize)
    const swept = await sweepMessages(ctx, rooms, find, signal)
    messages += swept
    // What is held by somebody else is left for the next sweep.
    if (swept === 0) return { messages, states }
  }
}

/** A room, and the newest bucket whose keys die soon of themselves. */
type PassingRoom = SweptRoom & Pick<Cutoff, 'passingBucket'>

/** Deletes all messages of a room: nobody will come back to it. The room itself stays whole. */
export function sweepWholeRoom(ctx: Context, room: SweptRoom, signal: AbortSignal): Promise<number> {
  // No bucket passes: the messages would have lived on, so each key is destroyed by itself.
  const cutoff: Cutoff = { ...room, cutoffTs: Number.MAX_SAFE_INTEGER, passingBucket: -1 }
  return sweepMessages(ctx, [cutoff], (tx, some) => expiredEvents(tx, some, eventBatchSize), signal)
}

async function sweepMessages<Room extends PassingRoom>(
  ctx: Context,
  rooms: readonly Room[],
  find: (tx: Tx, rooms: readonly Room[]) => Promise<ExpiredEvent[]>,
  signal: AbortSignal,
): Promise<number> {
  let count = 0
  for (let start = 0; start < rooms.length && !signal.aborted; start += roomBatchSize) {
    count += await sweepTogether(ctx, rooms.slice(start, start + roomBatchSize), find, signal)
  }
  return count
}

async function sweepTogether<Room extends PassingRoom>(
  ctx: Context,
  rooms: readonly Room[],
  find: (tx: Tx, rooms: readonly Room[]) => Promise<ExpiredEvent[]>,
  signal: AbortSignal,
): Promise<number> {
  const touched = new Set<number>()
  let count = 0
  try {
    for (let batch = eventBatchSize; batch === eventBatchSize && !signal.aborted; count += batch) {
      batch = await transaction(
        ctx.db,
        async tx => {
          const events = await find(tx, rooms)
          for (const { roomNumber } of events) touched.add(roomNumber)
          await forget(ctx, tx, events, Math.min(...rooms.map(room => room.passingBucket)))
          return events.length
        },
        { isolation: 'repeatable read' },
      )
    }
  } catch (error) {
    // Somebody else needed one of the rows: the other rooms need not wait for that, this one has another try at the next sweep.
    if (!(error instanceof DatabaseError && error.code === '55P03')) throw error
    if (rooms.length > 1) for (const room of rooms) count += await sweepTogether(ctx, [room], find, signal)
  } finally {
    // Told apart from the deletion: a transaction that waits for the log while it holds rows could hold up every sender.
    await tell(ctx, rooms.filter(({ roomNumber }) => touched.has(roomNumber))) // prettier-ignore
  }
  return count
}

/**
 * Deletes the events that `find` returns, together with all that points to them; each key is destroyed by itself. Returns how
 * many there were. Throws `DatabaseError`, also when somebody else needs one of the rows just now.
 */
export async function forgetFound(ctx: Context, find: (tx: Tx) => Promise<readonly ExpiredEvent[]>): Promise<number> {
  const found = await transaction(
    ctx.db,
    async tx => {
      const events = await find(tx)
      await forget(ctx, tx, events, -1)
      return events
    },
    { isolation: 'repeatable read' },
  )
  if (found.length === 0) return 0
  const rooms = await ctx.numbers.rooms(found.map(({ roomNumber }) => roomNumber))
  await tell(
    ctx,
    [...rooms].map(([roomNumber, { roomId }]) => ({ roomNumber, roomId })),
  )
  return found.length
}

/** Has every process forget what it remembers of the rooms' events. */
async function tell(ctx: Context, rooms: readonly SweptRoom[]): Promise<void> {
  await ctx.log.post(rooms.map(({ roomId }) => ({ kind: 'room', roomId })))
}

async function forget(ctx: Context, tx: Tx, events: readonly ExpiredEvent[], passingBucket: number): Promise<void> {
  if (events.length === 0) return
  const extremities = events.filter(({ isExtremity }) => isExtremity)
  await forgetEvents(tx, ctx.numbers.sealer, {
    events,
    pruned: await prunedForms(ctx, tx, extremities),
    passingBucket,
  })
}

/** The texts of events that the room cannot do without: no more than the room needs. */
async function prunedForms(ctx: Context, tx: Tx, events: readonly Omit<PrunedBody, 'body'>[]): Promise<PrunedBody[]> {
  if (events.length === 0) return []
  const numbers = events.map(({ eventNumber }) => eventNumber)
  const stored = new Map((await eventsByNumber(tx, ctx.numbers, numbers)).map(each => [each.eventNumber, each.event]))
  const rooms = await ctx.numbers.rooms(events.map(({ roomNumber }) => roomNumber))
  return events.map(({ eventNumber, eventId, roomNumber }) => {
    const event = stored.get(eventNumber)
    const facts = rooms.get(roomNumber)
    const pruned = event && facts && prunedEvent(event, facts.version)
    // A row that cannot be read is of no use to the room either way.
    return { eventNumber, eventId, roomNumber, body: pruned ? eventBody(pruned, facts.version) : '{}' }
  })
}

async function sweepStates(ctx: Context, rooms: readonly Cutoff[], signal: AbortSignal): Promise<number> {
  const touched = new Map<number, SweptRoom>()
  let count = 0
  try {
    for (let batch = eventBatchSize; batch === eventBatchSize && !signal.aborted;) {
      batch = await transaction(ctx.db, async tx => {
        const due = await staleStates(tx, rooms, eventBatchSize)
        if (due.length === 0) return 0
        const current = await currentAmong(tx, due)
        // Those that cannot be read say nothing to anybody already.
        const found = await eventsByNumber(tx, ctx.numbers, due.filter(eventNumber => !current.has(eventNumber))) // prettier-ignore
        const stale = found.map(({ eventNumber, roomNumber, event: { eventId } }) => ({ eventNumber, roomNumber, eventId })) // prettier-ignore
        for (const { roomNumber } of stale) {
          const room = rooms.find(each => each.roomNumber === roomNumber)
          if (room) touched.set(roomNumber, room)
        }
        await pruneStates(tx, ctx.numbers.sealer, due, await prunedForms(ctx, tx, stale))
        count += stale.length
        return due.length
      })
    }
  } catch (error) {
    if (!(error instanceof DatabaseError && error.code === '55P03')) throw error
  } finally {
    await tell(ctx, [...touched.values()])
  }
  return count
}
