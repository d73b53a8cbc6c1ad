import { type Context } from '../context.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type DueInRoom, dueByLifetime, dueByTimer } from '../storage/sweep.ts'
import { cutoffPages } from './cutoffs.ts'

const hourMs = 3_600_000
/** Now, within an hour, within a day. */
const leadsMs = [0, hourMs, 24 * hourMs] as const
/** More due messages than this, of one room or with times of their own, are not counted. */
const countLimit = 100_000
/** Rooms that are told apart, those with most to lose. */
const roomLimit = 100

/** How many messages go: those that are due now, and those that will be within an hour and a day, with those before them. */
export interface DueCounts {
  readonly now: number
  readonly withinHour: number
  readonly withinDay: number
}

/** What will be forgotten soon: numbers, and nothing of what it says. */
export interface Due {
  /** Messages whose room's lifetime is over. */
  readonly byLifetime: DueCounts
  /** Messages whose own time is over. */
  readonly byTimer: DueCounts
  /** Both, in the rooms that lose most within a day. */
  readonly rooms: readonly (DueCounts & { readonly roomId: RoomId })[]
}

/** What there is to forget now, within the hour and within the day. Each room is counted up to 100,000. */
export async function dueSoon(ctx: Context): Promise<Due> {
  const ofLifetime: DueInRoom[] = []
  for await (const cutoffs of cutoffPages(ctx)) {
    ofLifetime.push(...(await dueByLifetime(ctx.db.kysely, cutoffs, leadsMs, countLimit)))
  }
  const ofTimer = await dueByTimer(ctx.db.kysely, ctx.clock.now(), leadsMs, countLimit)
  const byRoom = new Map<RoomId, number[]>()
  for (const { roomId, counts } of [...ofLifetime, ...ofTimer]) {
    byRoom.set(roomId, sums(byRoom.get(roomId) ?? [], counts))
  }
  const rooms = [...byRoom].map(([roomId, counts]) => ({ roomId, ...named(counts) }))
  rooms.sort((a, b) => b.withinDay - a.withinDay || (a.roomId < b.roomId ? -1 : 1))
  return { byLifetime: total(ofLifetime), byTimer: total(ofTimer), rooms: rooms.slice(0, roomLimit) }
}

const sums = (left: readonly number[], right: readonly number[]) =>
  leadsMs.map((_, index) => (left[index] ?? 0) + (right[index] ?? 0))

function total(rooms: readonly DueInRoom[]): DueCounts {
  return named(rooms.reduce<readonly number[]>((sum, { counts }) => sums(sum, counts), []))
}

function named([now = 0, withinHour = 0, withinDay = 0]: readonly number[]): DueCounts {
  return { now, withinHour, withinDay }
}
