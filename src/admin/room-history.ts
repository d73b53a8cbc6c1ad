import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { type EventFilter, matchesEvent } from '../protocol/filters.ts'
import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { clientEvents, type Viewer } from '../rooms/client-events.ts'
import { roomHead } from '../rooms/head.ts'
import { stateAfter } from '../rooms/history.ts'
import { livesIn } from '../rooms/visibility.ts'
import { eventsNear, placeOfTime } from '../storage/events-near.ts'
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
  page: {
    readonly from: string | undefined
    readonly to: string | undefined
    readonly direction: 'f' | 'b'
    readonly limit: number
    readonly filter: EventFilter | null
  },
): Promise<JsonObject> {
  const { facts } = await knownRoom(ctx, roomId)
  const isForward = page.direction === 'f'
  const start = page.from === undefined ? (isForward ? beginning : ctx.log.head) : positionOf(page.from)
  const stop = page.to === undefined ? (isForward ? Number.MAX_SAFE_INTEGER : beginning) : positionOf(page.to)
  const span = isForward ? { after: start, upTo: stop } : { after: stop, upTo: start }
  const direction = isForward ? 'forward' : 'backward'
  const { events, last, isEnd } = await timeline(
    ctx.db.kysely,
    ctx.numbers,
    facts.roomNumber,
    span,
    direction,
    page.limit,
  )
  const { filter } = page
  const wanted = (await living(ctx, events)).filter(
    ({ event: { type, sender, roomId: id, content } }) =>
      filter === null || matchesEvent(filter, { type, sender, roomId: id, content }),
  )
  const chunk = await clientEvents(ctx, viewer, wanted, { withRoomId: true })
  return {
    chunk,
    start: tokenOf(start),
    ...(last === null || isEnd ? {} : { end: tokenOf(isForward ? last : last - 1) }),
  }
}

/** One event of a room with what was said around it and the room's state after that, whoever may see it. Throws `notFound`. */
export async function eventInContext(
  ctx: Context,
  viewer: Viewer,
  roomId: RoomId,
  eventId: EventId,
  limit: number,
): Promise<JsonObject> {
  const { facts } = await knownRoom(ctx, roomId)
  const [target] = await living(ctx, await eventsById(ctx.db.kysely, ctx.numbers, [eventId]))
  if (target?.roomNumber !== facts.roomNumber || target.position === null) throw notFound('Event not found')
  const { position } = target
  const side = async (direction: 'forward' | 'backward', count: number) => {
    const span = direction === 'forward' ? { after: position, upTo: Number.MAX_SAFE_INTEGER } : { after: beginning, upTo: position - 1 } // prettier-ignore
    if (count === 0) return []
    const { events } = await timeline(ctx.db.kysely, ctx.numbers, facts.roomNumber, span, direction, count)
    return living(ctx, events)
  }
  const [before, after] = await Promise.all([side('backward', Math.ceil(limit / 2)), side('forward', Math.floor(limit / 2))]) // prettier-ignore
  const newest = after.at(-1) ?? target
  const show = (events: readonly StoredEvent[]) => clientEvents(ctx, viewer, events, { withRoomId: true })
  const [shown, shownBefore, shownAfter, state] = await Promise.all([
    show([target]),
    show(before),
    show(after),
    show(await stateAfter(ctx, newest)),
  ])
  return {
    start: tokenOf((before.at(-1)?.position ?? position) - 1),
    end: tokenOf(newest.position ?? position),
    event: shown[0] ?? {},
    events_before: shownBefore,
    events_after: shownAfter,
    state,
  }
}

/** How many events are looked at for one that has not expired, and how many of them first: as a rule, the nearest is one. */
const nearLimit = 500
const nearFirst = 5

/** The event of a room that is nearest to a time, from there on or back. Throws `notFound`. */
export async function eventNear(
  ctx: Context,
  roomId: RoomId,
  ts: number,
  direction: 'f' | 'b',
): Promise<{ readonly event_id: EventId; readonly origin_server_ts: number }> {
  const { facts } = await knownRoom(ctx, roomId)
  const way = direction === 'f' ? 'forward' : 'backward'
  let from = placeOfTime(ts, way)
  for (let looked = 0; looked < nearLimit;) {
    const limit = looked === 0 ? nearFirst : nearLimit - looked
    const { events, last } = await eventsNear(ctx.db.kysely, ctx.numbers, facts.roomNumber, from, way, limit)
    const [nearest] = await living(ctx, events)
    if (nearest) return { event_id: nearest.event.eventId, origin_server_ts: nearest.event.originServerTs }
    if (!last) break
    from = last
    looked += limit
  }
  throw notFound('There is no event of that time')
}

const beginning = -Number.MAX_SAFE_INTEGER
const tokenOf = (position: number) => `a${position}`

function positionOf(token: string): number {
  const position = /^a-?\d{1,16}$/.test(token) ? Number(token.slice(1)) : NaN
  if (!Number.isSafeInteger(position)) throw invalidParam('from is not a token of this endpoint')
  return position
}
