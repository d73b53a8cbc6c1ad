import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { clientEvents, type Viewer } from '../rooms/client-events.ts'
import { roomHead } from '../rooms/head.ts'
import { livesIn } from '../rooms/visibility.ts'
import { eventsById, timeline } from '../storage/events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { knownRoom } from './room-access.ts'

/** Those of the events that have not outlived their room's lifetime: what has expired is gone for administrators too. */
async function living(ctx: Context, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
  const kept: StoredEvent[] = []
  for (const stored of events) {
    const head = await roomHead(ctx, stored.event.roomId)
    if (head && livesIn(ctx, head, stored)) kept.push(stored)
  }
  return kept
}

/** One event of any room. Throws `notFound`, for an expired one too. */
export async function anyEvent(ctx: Context, viewer: Viewer, eventId: EventId): Promise<JsonObject> {
  const [event] = await living(ctx, await eventsById(ctx.db.kysely, ctx.numbers, [eventId]))
  if (!event) throw notFound('Event not found')
  const [shown] = await clientEvents(ctx, viewer, [event], { withRoomId: true })
  if (!shown) throw notFound('Event not found')
  return shown
}

/** A page of a room's timeline, as `/messages` has it, whoever may see it. Throws `notFound`, `invalidParam`. */
export async function roomMessages(
  ctx: Context,
  viewer: Viewer,
  roomId: RoomId,
  page: { readonly from: string | undefined; readonly direction: 'f' | 'b'; readonly limit: number },
): Promise<JsonObject> {
  const { facts } = await knownRoom(ctx, roomId)
  const isForward = page.direction === 'f'
  const start = page.from === undefined ? (isForward ? beginning : ctx.log.head) : positionOf(page.from)
  const span = isForward ? { after: start, upTo: Number.MAX_SAFE_INTEGER } : { after: beginning, upTo: start }
  const direction = isForward ? 'forward' : 'backward'
  const { events, last, isEnd } = await timeline(
    ctx.db.kysely,
    ctx.numbers,
    facts.roomNumber,
    span,
    direction,
    page.limit,
  )
  const chunk = await clientEvents(ctx, viewer, await living(ctx, events), { withRoomId: true })
  return {
    chunk,
    start: tokenOf(start),
    ...(last === null || isEnd ? {} : { end: tokenOf(isForward ? last : last - 1) }),
  }
}

const beginning = -Number.MAX_SAFE_INTEGER
const tokenOf = (position: number) => `a${position}`

function positionOf(token: string): number {
  const position = /^a-?\d{1,16}$/.test(token) ? Number(token.slice(1)) : NaN
  if (!Number.isSafeInteger(position)) throw invalidParam('from is not a token of this endpoint')
  return position
}
