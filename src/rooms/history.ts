import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { type EventId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type EventFilter, matchesEvent } from '../protocol/filters.ts'
import { type JsonObject } from '../protocol/json.ts'
import { eventsById, eventsByNumber, timeline } from '../storage/events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { snapshotEventNumbers } from '../storage/room-heads.ts'
import { bundledAggregations } from './bundles.ts'
import { clientEvents, type Viewer } from './client-events.ts'
import { type RoomHead } from './head.ts'
import { ignoredBy, isIgnored } from './ignored-users.ts'
import { roomAccess, type RoomAccess, visibleEvents } from './visibility.ts'

export type Direction = 'forward' | 'backward'

/** A page of a room's history, in the order of walking. */
export interface Page {
  readonly events: readonly StoredEvent[]
  /** Where to go on; `null` when there is nothing more that way. */
  readonly next: number | null
}

/** How many events one request reads at most, however few of them its caller may see. */
const scanLimit = 2_000
const batchSize = 200

/** One side of every timeline: no position is lower. */
export const beginning = -Number.MAX_SAFE_INTEGER

/**
 * Walks a room's timeline from a place between two positions (`from`: the lower of them) and returns up to `limit` events
 * that the viewer may see, whose senders they do not ignore, and that the filter lets pass, each exactly once over all pages.
 */
export async function walk(
  ctx: Context,
  viewer: UserId,
  access: RoomAccess,
  request: {
    readonly from: number
    /** Where to stop, if before the limit is reached. */
    readonly to: number | null
    readonly direction: Direction
    readonly limit: number
    readonly filter: EventFilter | null
  },
): Promise<Page> {
  const { head, upTo } = access
  const { direction, limit, filter } = request
  const isForward = direction === 'forward'
  const newest = Math.min(upTo, Number.MAX_SAFE_INTEGER)
  const last = isForward ? Math.min(request.to ?? newest, newest) : (request.to ?? beginning)
  const found: StoredEvent[] = []
  const ignored = await ignoredBy(ctx, viewer)
  let place = Math.min(request.from, newest)
  // One more than asked for says whether there are more; where much is hidden, more is read at a time.
  let size = Math.min(limit + 1, batchSize)
  for (let scanned = 0; scanned < scanLimit; scanned += size, size = batchSize) {
    const span = isForward ? { after: place, upTo: last } : { after: last, upTo: place }
    const { events, last: lastRow, isEnd } = await timeline(ctx.db.kysely, ctx.numbers, head.facts.roomNumber, span, direction, size) // prettier-ignore
    const visible = new Set(await visibleEvents(ctx, viewer, head, events))
    for (const stored of events) {
      if (stored.position === null) continue
      if (found.length === limit) return { events: found, next: place }
      place = isForward ? stored.position : stored.position - 1
      if (!visible.has(stored) || isIgnored(ignored, stored)) continue
      if (!filter || passes(filter, stored)) found.push(stored)
    }
    // The end of a page that has something on it is told even if nothing lies beyond: clients store it.
    if (isEnd) return { events: found, next: found.length > 0 ? place : null }
    // What could not be read is behind us too.
    if (lastRow !== null) place = isForward ? lastRow : lastRow - 1
  }
  return { events: found, next: place }
}

function passes(filter: EventFilter, { event }: StoredEvent): boolean {
  const { type, sender, roomId, content } = event
  return matchesEvent(filter, { type, sender, roomId, content })
}

/** One event that the viewer may see. Throws the same M_NOT_FOUND for an unknown event, another room's and a hidden one. */
export async function visibleEvent(
  ctx: Context,
  viewer: UserId,
  access: RoomAccess,
  eventId: EventId,
): Promise<StoredEvent & { readonly position: number }> {
  const found = await eventsById(ctx.db.kysely, ctx.numbers, [eventId])
  const [event] = await visibleEvents(ctx, viewer, access.head, found)
  if (!event || event.position === null || event.position > access.upTo) throw notFound('There is no such event')
  return { ...event, position: event.position }
}

/** Access to a room for reading one event of it: no access is no event. */
export async function eventAccess(ctx: Context, viewer: UserId, roomId: RoomId): Promise<RoomAccess> {
  try {
    return await roomAccess(ctx, viewer, roomId)
  } catch {
    throw notFound('There is no such event')
  }
}

/** Events with everything that is shown of them: `unsigned` and bundled aggregations. */
export async function shownEvents(
  ctx: Context,
  viewer: Viewer,
  head: RoomHead,
  events: readonly StoredEvent[],
): Promise<JsonObject[]> {
  const bundles = await bundledAggregations(ctx, viewer, head, events)
  return clientEvents(ctx, viewer, events, { withRoomId: true, bundles })
}

/** The state after an event. Empty for an event without a snapshot. */
export async function stateAfter(ctx: Context, stored: StoredEvent): Promise<StoredEvent[]> {
  if (stored.snapshotNumber === null) return []
  return eventsByNumber(ctx.db.kysely, ctx.numbers, await snapshotEventNumbers(ctx.db, stored.snapshotNumber))
}

/** The room's state as of a position of its timeline: the current one, or that after the newest event up to there. */
export async function stateAt(ctx: Context, head: RoomHead, position: number): Promise<StoredEvent[]> {
  if (position >= ctx.log.head) return [...head.state.values()]
  const span = { after: beginning, upTo: position }
  const { events } = await timeline(ctx.db.kysely, ctx.numbers, head.facts.roomNumber, span, 'backward', 1)
  const [newest] = events
  return newest ? stateAfter(ctx, newest) : []
}
