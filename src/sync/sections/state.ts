import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../../context.ts'
import { type User } from '../../http/endpoint.ts'
import { type EventFilter, matchesEvent } from '../../protocol/filters.ts'
import { type DeviceId } from '../../protocol/identifiers.ts'
import { StateMap } from '../../protocol/state-map.ts'
import { type StoredEvent } from '../../storage/log-entries.ts'
import { membersAt, type PlacedStateChange, statesOf } from '../../storage/sync-state.ts'
import { type Source } from '../source.ts'
import { type Timeline } from './timeline.ts'

/** Which state is wanted. */
export interface StateWanted {
  readonly roomNumber: number
  /** All of it, for a room that the client does not know; else what changed after `after`. */
  readonly isFull: boolean
  readonly after: number
  readonly upTo: number
  readonly timeline: Timeline
  /** Users whose member events are wanted with lazy loading, beside those of the timeline's senders. */
  readonly heroes: readonly string[]
}

/** How the client wants state. */
export interface StateShape {
  readonly filter: EventFilter
  /** The state at the end of the timeline, not at its start. */
  readonly isAfter: boolean
}

/** How much memory it may take to remember which members were sent; about what a room of a device takes, and a member in it. */
const rememberedLimitBytes = 32 * 1024 * 1024
const roomOverheadBytes = 400
const memberBytes = 100
/** How many members of one room are remembered for one device. */
const rememberedMembers = 2_000

/**
 * The users whose member events a device has been sent, with the position of the answer that had them; by user, device and
 * room. Changes are sent in any case. What is forgotten is sent again, which is harmless.
 */
const sentMembers = perServer(
  () =>
    new LRUCache<string, Map<string, number>>({
      maxSize: rememberedLimitBytes,
      sizeCalculation: members => roomOverheadBytes + members.size * memberBytes,
    }),
)

const memberType = 'm.room.member'

interface Pair {
  /** What holds the pair at the end of the span; `null` if it left the state. */
  readonly final: StoredEvent | null
  /** What held it at the start of the timeline; `undefined` if it did not change before that. */
  readonly atStart: StoredEvent | null | undefined
  /** What held it before its first change in the span. */
  readonly before: StoredEvent | null
}

/**
 * The state events of each room, by room number: with them and the timeline the client knows the room's state. An event of
 * the state that is shown in the timeline is not repeated, unless the client wants the state after it.
 * @param since the position that the client's token stands for
 * https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
export async function statesFor(
  ctx: Context,
  source: Source,
  caller: User,
  shape: StateShape,
  since: number | null,
  wanted: readonly StateWanted[],
): Promise<Map<number, StoredEvent[]>> {
  const isLazy = shape.filter.lazyLoadMembers
  // Of a room that is told whole only the timeline's changes matter: the rest is read as it stands.
  const spans = wanted
    .filter(({ isFull }) => !isFull || !shape.isAfter)
    .map(({ roomNumber, isFull, after, upTo, timeline }) => ({
      roomNumber,
      after: isFull ? timeline.start : after,
      upTo,
    }))
  const changes = await source.stateChanges(spans.filter(span => span.after < span.upTo))
  const full = wanted.filter(each => each.isFull).map(({ roomNumber, upTo }) => ({ roomNumber, position: upTo }))
  const states = await statesOf(source.bulk, ctx.numbers, full, !isLazy)
  const members = isLazy ? await lazyMembers(ctx, source, caller, shape, since, wanted) : null

  const result = new Map<number, StoredEvent[]>()
  for (const each of wanted) {
    const { roomNumber, isFull, timeline } = each
    const pairs = pairsOf(changes.get(roomNumber) ?? [], timeline.start)
    const inTimeline = new Set(timeline.events.map(({ eventNumber }) => eventNumber))
    const lazy = members?.get(roomNumber) ?? null
    const chosen = new Map<number, StoredEvent>()
    const choose = (stored: StoredEvent | null | undefined) => stored && chosen.set(stored.eventNumber, stored)
    // The event that the client must be told for a pair that changed in the span; `isNews` if it has none for it yet.
    const ofPair = (pair: Pair, isNews: boolean) => {
      if (shape.isAfter || !pair.final || !inTimeline.has(pair.final.eventNumber)) return pair.final
      if (pair.atStart !== undefined) return pair.atStart
      return isNews ? pair.before : null
    }
    for (const [type, stateKey, pair] of pairs) {
      const isMember = type === memberType
      // With lazy loading, members of a room that is told whole come with those who are needed, below.
      if (isMember && isLazy && isFull) continue
      choose(ofPair(pair, isFull || (isMember && lazy?.needed.has(stateKey) === true)))
      if (isMember) lazy?.needed.delete(stateKey)
    }
    for (const stored of states.get(roomNumber) ?? []) {
      const { type, stateKey } = stored.event
      if (stateKey !== null && !pairs.has(type, stateKey)) choose(stored)
    }
    for (const [userId, stored] of lazy?.needed ?? []) {
      const pair = pairs.get(memberType, userId)
      choose(pair ? ofPair(pair, true) : stored)
    }
    const events = [...chosen.values()].filter(({ event }) => matchesEvent(shape.filter, event))
    if (lazy) lazy.remember([...events, ...timeline.events])
    result.set(roomNumber, events)
  }
  return result
}

function pairsOf(changes: readonly PlacedStateChange[], start: number): StateMap<Pair> {
  const pairs = new StateMap<Pair>()
  for (const { type, stateKey, position, event, replaced } of changes) {
    const known = pairs.get(type, stateKey)
    pairs.set(type, stateKey, {
      final: event,
      atStart: position <= start ? event : known?.atStart,
      before: known ? known.before : replaced,
    })
  }
  return pairs
}

/** True if a client that knows a room need be sent no member events with these messages of it. */
export function knowsSenders(
  ctx: Context,
  { userNumber, deviceId }: User,
  filter: EventFilter,
  roomNumber: number,
  since: number,
  messages: readonly StoredEvent[],
): boolean {
  if (!filter.lazyLoadMembers) return true
  if (filter.includeRedundantMembers) return false
  const memory = sentMembers(ctx).get(memoryKey(userNumber, roomNumber, deviceId))
  // An answer that the client may never have received does not count.
  return memory !== undefined && messages.every(({ event }) => (memory.get(event.sender) ?? Infinity) <= since)
}

const memoryKey = (userNumber: number, roomNumber: number, deviceId: DeviceId | null) =>
  `${userNumber} ${roomNumber} ${deviceId ?? ''}`

interface LazyMembers {
  /** The member events at the end of the span that the client needs and does not have, by user. */
  readonly needed: Map<string, StoredEvent>
  readonly remember: (events: readonly StoredEvent[]) => void
}

/**
 * The member events that go with lazy loading: those of the timeline's senders, of the heroes and, in a room that is told
 * whole, one's own; without those that the device was sent before, unless it asks for them again.
 * https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
 */
async function lazyMembers(
  ctx: Context,
  source: Source,
  caller: User,
  shape: StateShape,
  since: number | null,
  wanted: readonly StateWanted[],
): Promise<Map<number, LazyMembers>> {
  const sent = sentMembers(ctx)
  const asked: { roomNumber: number; userId: string; position: number }[] = []
  const memories = new Map<number, { readonly key: string; readonly memory: Map<string, number> }>()
  for (const { roomNumber, isFull, upTo, timeline, heroes } of wanted) {
    const key = memoryKey(caller.userNumber, roomNumber, caller.deviceId)
    const memory = isFull ? new Map<string, number>() : (sent.get(key) ?? new Map<string, number>())
    sent.set(key, memory)
    memories.set(roomNumber, { key, memory })
    const users = new Set<string>([...timeline.events.map(({ event }) => event.sender), ...heroes])
    if (isFull) users.add(caller.userId)
    for (const userId of users) {
      const before = memory.get(userId)
      // An answer that the client may never have received does not count.
      const isKnown = before !== undefined && since !== null && before <= since
      if (isKnown && !shape.filter.includeRedundantMembers) continue
      asked.push({ roomNumber, userId, position: upTo })
    }
  }
  const found = await membersAt(source.bulk, ctx.numbers, asked)
  const result = new Map<number, LazyMembers>()
  for (const [roomNumber, { key, memory }] of memories) {
    const remember = (events: readonly StoredEvent[]) => {
      for (const { event } of events) {
        if (event.type !== memberType || event.stateKey === null) continue
        if (memory.size >= rememberedMembers) memory.clear()
        memory.set(event.stateKey, source.to)
      }
      // Put in again, to be counted as large as it has become; unless another answer has replaced it meanwhile.
      if (sent.peek(key) !== memory) return
      sent.delete(key)
      sent.set(key, memory)
    }
    result.set(roomNumber, { needed: new Map(), remember })
  }
  for (const stored of found)
    if (stored.event.stateKey !== null) result.get(stored.roomNumber)?.needed.set(stored.event.stateKey, stored)
  return result
}
