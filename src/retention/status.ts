import { type Context } from '../context.ts'
import { countExpired, roomsWithExpired, roomsWithTimedOut } from '../storage/sweep.ts'
import { lastSweep } from '../storage/sweeps.ts'
import { cutoffPages } from './cutoffs.ts'

/** More due messages than this are not counted. */
const countLimit = 100_000

/** Where the sweeper stands; times in milliseconds since the epoch. */
export interface SweepStatus {
  /** When it last began, on whichever process; `null` if never. */
  readonly startedTs: number | null
  /** When it last came to its end; earlier than `startedTs` while it is at work, or after it failed. */
  readonly endedTs: number | null
  readonly durationMs: number | null
  /** How many things of each kind the last complete sweep deleted. */
  readonly deleted: Readonly<Record<string, number>>
  /** How many messages have come to their end and are still stored; nobody can read them. Counted up to 100,000. */
  readonly due: number
  /** Since when the oldest of them is due; `null` where none is. */
  readonly oldestDueTs: number | null
}

/** What the sweeper did last, and what there is for it to do now: for operators. */
export async function sweepStatus(ctx: Context): Promise<SweepStatus> {
  const nowTs = ctx.clock.now()
  let due = 0
  let oldestDueTs: number | null = null
  const since = (ts: number) => (oldestDueTs = Math.min(oldestDueTs ?? ts, ts))
  for await (const cutoffs of cutoffPages(ctx)) {
    const oldest = await roomsWithExpired(ctx.db.kysely, cutoffs)
    const rooms = cutoffs.filter(({ roomNumber }) => oldest.has(roomNumber))
    due += await countExpired(ctx.db.kysely, rooms, null, countLimit)
    for (const { roomNumber, cutoffTs } of rooms) since((oldest.get(roomNumber) ?? 0) + nowTs - cutoffTs)
  }
  const timedOut = await roomsWithTimedOut(ctx.db.kysely, nowTs, countLimit)
  due += await countExpired(ctx.db.kysely, timedOut, nowTs, countLimit)
  for (const { oldestTs } of timedOut) since(oldestTs)
  return { ...(await lastSweep(ctx.db)), due: Math.min(due, countLimit), oldestDueTs }
}
