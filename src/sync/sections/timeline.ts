import { type Context } from '../../context.ts'
import { type EventFilter, matchesEvent } from '../../protocol/filters.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { type RoomHead } from '../../rooms/head.ts'
import { livesIn, visibleEvents } from '../../rooms/visibility.ts'
import { type StoredEvent } from '../../storage/log-entries.ts'
import { type Source } from '../source.ts'

/** The newest part of a room's timeline. */
export interface Timeline {
  /** Oldest first. */
  readonly events: readonly StoredEvent[]
  /** True if older events of the span were left out: they are between the span's start and `start`. */
  readonly isCut: boolean
  /** Everything after this position that the viewer may see and the filter lets pass is in `events`. */
  readonly start: number
}

/** Which timeline is wanted. */
export interface TimelineWanted {
  readonly head: RoomHead
  /** The span: after this position, up to and including another. */
  readonly after: number
  readonly upTo: number
  /** From this position on the viewer is known to have been in the room until `upTo`; `Infinity` if that is not known. */
  readonly memberFrom: number
}

/** What decides which events are shown, beside visibility. */
export interface Audience {
  readonly userId: UserId
  readonly ignored: ReadonlySet<UserId>
  readonly filter: EventFilter & { readonly limit: number }
}

/** How many events of one room are looked at for one answer, in multiples of the limit. */
const rounds = [1, 4, 16] as const

interface Search {
  readonly wanted: TimelineWanted
  /** Newest first. */
  readonly found: StoredEvent[]
  /** Everything above this is looked at. */
  scannedTo: number
  isDone: boolean
}

/** The newest events of each span that the viewer may see and the filter lets pass, by room number. */
export async function timelinesOf(
  ctx: Context,
  source: Source,
  audience: Audience,
  wanted: readonly TimelineWanted[],
): Promise<Map<number, Timeline>> {
  const { limit } = audience.filter
  const searches = wanted.map((each): Search => ({ wanted: each, found: [], scannedTo: each.upTo, isDone: each.upTo <= each.after })) // prettier-ignore
  for (const factor of rounds) {
    const open = searches.filter(search => !search.isDone)
    if (open.length === 0) break
    const count = limit * factor + 1
    const spans = open.map(({ wanted: { head, after }, scannedTo }) => ({ roomNumber: head.facts.roomNumber, after, upTo: scannedTo })) // prettier-ignore
    const batches = await source.newestEvents(spans, count)
    await Promise.all(
      open.map(search => look(ctx, audience, search, batches.get(search.wanted.head.facts.roomNumber) ?? [], count)),
    )
  }
  return new Map(searches.map(search => [search.wanted.head.facts.roomNumber, timelineFrom(search, limit)]))
}

async function look(
  ctx: Context,
  audience: Audience,
  search: Search,
  batch: readonly StoredEvent[],
  count: number,
): Promise<void> {
  const { head, memberFrom, after } = search.wanted
  const { filter, ignored, userId } = audience
  const passing = batch.filter(({ event }) => {
    const { type, sender, roomId, content, stateKey } = event
    // "Servers must still send state events sent by ignored users to clients."
    if (stateKey === null && ignored.has(sender)) return false
    return matchesEvent(filter, { type, sender, roomId, content })
  })
  const before = passing.filter(({ position }) => position === null || position < memberFrom)
  const visible = new Set(before.length > 0 ? await visibleEvents(ctx, userId, head, before) : [])
  for (const stored of passing) {
    const isMemberThen = stored.position !== null && stored.position >= memberFrom
    if (isMemberThen ? livesIn(ctx, head, stored) : visible.has(stored)) search.found.push(stored)
  }
  search.scannedTo = batch.length < count ? after : (batch.at(-1)?.position ?? after + 1) - 1
  search.isDone = search.found.length > filter.limit || search.scannedTo <= after
}

function timelineFrom({ wanted, found, scannedTo }: Search, limit: number): Timeline {
  const events = found.slice(0, limit).reverse()
  if (found.length > limit) {
    const [oldest] = events
    const start = oldest ? (oldest.position ?? scannedTo + 1) - 1 : (found[0]?.position ?? scannedTo)
    return { events, isCut: true, start }
  }
  // Where the search gave up, what lies before is for the client to ask for.
  const isCut = scannedTo > wanted.after
  return { events, isCut, start: isCut ? scannedTo : wanted.after }
}
