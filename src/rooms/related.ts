import { type Context } from '../context.ts'
import { type EventId, type UserId } from '../protocol/identifiers.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { children, threadsOf } from '../storage/relations.ts'
import { type Direction } from './history.ts'
import { type RoomHead } from './head.ts'
import { ignoredBy, isIgnored } from './ignored-users.ts'
import { visibleEvents } from './visibility.ts'

/** How deep `recurse` follows relations of relations. */
const recursionLimit = 3
/** How many children one request reads at most, however few of them its caller may see. */
const scanLimit = 1_000

export interface RelatedRequest {
  readonly parent: EventId
  readonly relType: string | null
  readonly eventType: string | null
  /** Positions after this, up to and including `upTo`. */
  readonly after: number
  readonly upTo: number
  readonly direction: Direction
  readonly limit: number
  readonly recurse: boolean
}

export interface RelatedPage {
  readonly events: readonly StoredEvent[]
  /** Where to go on; `null` when there is nothing more that way. */
  readonly next: number | null
  /** How deep was looked. */
  readonly depth: number
}

/**
 * The events related to an event, as far as the viewer may see them and does not ignore their senders, in the order of
 * walking. https://spec.matrix.org/v1.19/client-server-api/#relationships-api
 */
export async function relatedTo(
  ctx: Context,
  viewer: UserId,
  head: RoomHead,
  request: RelatedRequest,
): Promise<RelatedPage> {
  const { roomNumber } = head.facts
  const parents = new Set([request.parent])
  let depth = 1
  if (request.recurse) {
    let front: readonly EventId[] = [request.parent]
    while (depth < recursionLimit && front.length > 0) {
      const found = await children(ctx.db.kysely, ctx.numbers, {
        // "Events … whose only relation to the original given event is through a non-matching intermediate event, will not be
        // included."
        roomNumber, parents: front, relType: request.relType, eventType: request.eventType, after: -Number.MAX_SAFE_INTEGER,
        upTo: Number.MAX_SAFE_INTEGER, direction: 'forward', limit: scanLimit,
      }) // prettier-ignore
      // A cycle of relations ends here: each event is looked below once.
      front = found.map(({ event }) => event.eventId).filter(eventId => !parents.has(eventId))
      for (const eventId of front) parents.add(eventId)
      depth++
    }
  }
  const isForward = request.direction === 'forward'
  let { after, upTo } = request
  const ignored = await ignoredBy(ctx, viewer)
  const events: StoredEvent[] = []
  for (let scanned = 0; scanned < scanLimit;) {
    const batchSize = request.limit + 1
    const batch = await children(ctx.db.kysely, ctx.numbers, {
      roomNumber, parents: [...parents], relType: request.relType, eventType: request.eventType, after, upTo,
      direction: request.direction, limit: batchSize,
    }) // prettier-ignore
    const visible = new Set(await visibleEvents(ctx, viewer, head, batch))
    for (const stored of batch) {
      if (events.length === request.limit) return { events, next: isForward ? after : upTo, depth }
      if (stored.position === null) continue
      if (isForward) after = stored.position
      else upTo = stored.position - 1
      if (visible.has(stored) && !isIgnored(ignored, stored)) events.push(stored)
    }
    if (batch.length < batchSize) return { events, next: null, depth }
    scanned += batchSize
  }
  return { events, next: isForward ? after : upTo, depth }
}

/** The threads of a room whose roots the viewer may see, those with the newest events first. */
export async function threads(
  ctx: Context,
  viewer: UserId,
  head: RoomHead,
  request: { readonly upTo: number; readonly onlyParticipated: boolean; readonly limit: number },
): Promise<{ roots: readonly StoredEvent[]; next: number | null }> {
  const participant = request.onlyParticipated ? await ctx.numbers.user(viewer) : null
  const found = await threadsOf(
    ctx.db.kysely,
    ctx.numbers,
    head.facts.roomNumber,
    request.upTo,
    participant,
    request.limit,
  )
  const visible = new Set(await visibleEvents(ctx, viewer, head, found.map(({ root }) => root))) // prettier-ignore
  const roots = found.map(({ root }) => root).filter(root => visible.has(root))
  const last = found.at(-1)
  return { roots, next: last && found.length === request.limit ? last.latestPosition - 1 : null }
}
