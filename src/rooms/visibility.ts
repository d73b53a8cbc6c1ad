import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { notInRoom } from '../errors.ts'
import {
  historyVisibilityOf,
  membershipIn,
  type Membership,
  userMaySee,
  type UserView,
} from '../protocol/history-visibility.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { effectivePolicy, isExpired, isStale, type Lifetime } from '../protocol/retention.ts'
import { type LogEntry, eventFlags, type StoredEvent } from '../storage/log-entries.ts'
import { membershipOf } from '../storage/memberships.ts'
import { stateHoldings } from '../storage/room-heads.ts'
import { prunedEvent } from './append.ts'
import { roomHead, type RoomHead } from './head.ts'

/** From this log position on, this value held. */
interface Span<T> {
  readonly position: number
  readonly value: T
}

type Spans<T> = readonly Span<T>[]

/** How much memory the histories of rooms and of members may take, each; and about what one takes, and one change in it. */
const rememberedLimitBytes = 16 * 1024 * 1024
const historyOverheadBytes = 300
const spanBytes = 64

const remembered = {
  maxSize: rememberedLimitBytes,
  sizeCalculation: (spans: Spans<unknown>) => historyOverheadBytes + spans.length * spanBytes,
}

class Histories {
  readonly #ctx: Context
  readonly #visibility = new LRUCache<RoomId, Spans<ReturnType<typeof historyVisibilityOf>>>(remembered)
  readonly #membership = new LRUCache<string, Spans<Membership>>(remembered)
  /** Counts the changes of what is remembered: a reading that began before a change is not kept. */
  #generation = 0

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.log.subscribe(entries => {
      for (const entry of entries) this.#apply(entry)
    })
  }

  visibility(head: RoomHead): Promise<Spans<ReturnType<typeof historyVisibilityOf>>> {
    return this.#remember(this.#visibility, head.roomId, head, 'm.room.history_visibility', '', historyVisibilityOf)
  }

  membership(head: RoomHead, userId: UserId): Promise<Spans<Membership>> {
    return this.#remember(this.#membership, `${head.roomId} ${userId}`, head, 'm.room.member', userId, membershipIn)
  }

  async #remember<K extends string, T>(
    cache: LRUCache<K, Spans<T>>,
    key: K,
    head: RoomHead,
    type: string,
    stateKey: string,
    read: (content: StoredEvent['event']['content'] | undefined) => T,
  ): Promise<Spans<T>> {
    const known = cache.get(key)
    if (known) return known
    const generation = this.#generation
    const holdings = await stateHoldings(this.#ctx.db, this.#ctx.numbers, head.facts, type, stateKey)
    const spans = holdings.map(({ position, event }) => ({ position, value: read(event?.event.content) }))
    if (generation === this.#generation) cache.set(key, spans)
    return spans
  }

  #apply(entry: LogEntry): void {
    if (entry.kind === 'room') {
      this.#generation++
      this.#visibility.delete(entry.roomId)
      for (const key of this.#membership.keys()) if (key.startsWith(`${entry.roomId} `)) this.#membership.delete(key)
      return
    }
    if (entry.kind !== 'event') return
    for (const { type, stateKey } of entry.stateChanges) {
      if (type === 'm.room.history_visibility') this.#visibility.delete(entry.roomId)
      else if (type === 'm.room.member') this.#membership.delete(`${entry.roomId} ${stateKey}`)
      else continue
      this.#generation++
    }
  }
}

const histories = perServer(ctx => new Histories(ctx))

/** What held before and after a position. */
function around<T>(spans: Spans<T>, position: number, initially: T): { before: T; after: T } {
  let before = initially
  let after = initially
  for (const span of spans) {
    if (span.position > position) break
    after = span.value
    if (span.position < position) before = span.value
  }
  return { before, after }
}

/**
 * Whether the viewer may know the state that a room had at a position of its timeline: as for an event that came there. Being
 * in the room today does not open the member list of a time that is closed.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
export async function maySeeStateAt(ctx: Context, viewer: UserId, head: RoomHead, position: number): Promise<boolean> {
  const [visibility, membership] = await Promise.all([
    histories(ctx).visibility(head),
    histories(ctx).membership(head, viewer),
  ])
  // The state is that after the position; only of one's own going may one know whichever side one was on.
  const view = viewAt(visibility, membership, position)
  return userMaySee({ ...view, visibilityBefore: view.visibilityAfter })
}

function viewAt(
  visibility: Spans<ReturnType<typeof historyVisibilityOf>>,
  membership: Spans<Membership>,
  position: number,
): UserView {
  const seenUnder = around(visibility, position, historyVisibilityOf(undefined))
  const seenAs = around(membership, position, 'leave')
  return {
    visibilityBefore: seenUnder.before,
    visibilityAfter: seenUnder.after,
    membershipBefore: seenAs.before,
    membershipAfter: seenAs.after,
    joinedAfterwards: membership.some(span => span.position > position && span.value === 'join'),
  }
}

/** The lifetime of messages in a room, as of now. */
export function lifetimeIn(ctx: Context, head: RoomHead): Lifetime {
  const stateOf = (type: string) => head.event(type)?.content ?? null
  return effectivePolicy(ctx.config.retention, head.roomId, stateOf, head.retentionOverride)
}

/**
 * THE gate: nothing of a room's history reaches a user without passing here. Returns those of the events, in their order,
 * that the viewer may see: by the history visibility and their membership at the event, and only while the event lives.
 * Rejected and soft-failed events and outliers are seen by nobody. Events of another room than `head`'s are left out.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
export async function visibleEvents(
  ctx: Context,
  viewer: UserId,
  head: RoomHead,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  const policy = lifetimeIn(ctx, head)
  const nowMs = ctx.clock.now()
  const hidden = eventFlags.rejected | eventFlags.softFailed
  const alive = events.filter(
    stored =>
      stored.roomNumber === head.facts.roomNumber &&
      stored.position !== null &&
      (stored.flags & hidden) === 0 &&
      !isExpired(stored, policy, nowMs),
  )
  if (alive.length === 0) return []
  const [visibility, membership] = await Promise.all([
    histories(ctx).visibility(head),
    histories(ctx).membership(head, viewer),
  ])
  return alive.filter(({ position }) => position !== null && userMaySee(viewAt(visibility, membership, position)))
}

/**
 * The viewer's membership in a room by position of its timeline: the state there, with what the event at the position itself
 * changes. `leave` for those who have no member event yet. One look for any number of events, and none while remembered.
 */
export async function membershipHistory(
  ctx: Context,
  viewer: UserId,
  head: RoomHead,
): Promise<(position: number) => Membership> {
  const spans = await histories(ctx).membership(head, viewer)
  return position => around(spans, position, 'leave').after
}

/** Whether an event would be visible to a user who is in the room and was when it came: the fast path of /sync, which has
 *  just established that from the log. Everything but membership is checked. */
export function livesIn(ctx: Context, head: RoomHead, stored: StoredEvent): boolean {
  return (
    (stored.flags & (eventFlags.rejected | eventFlags.softFailed)) === 0 &&
    !isExpired(stored, lifetimeIn(ctx, head), ctx.clock.now())
  )
}

const prunedForms = new WeakMap<StoredEvent, StoredEvent>()

/**
 * The form in which an event is shown by now: old state, once something else has taken its place, is shown pruned, whether
 * or not the sweeper has been there. The caller has seen to it that the event itself may be seen.
 */
export function presentForm(ctx: Context, head: RoomHead, stored: StoredEvent): StoredEvent {
  const { event, flags } = stored
  if (event.stateKey === null || (flags & eventFlags.redacted) !== 0) return stored
  if (!isStale(stored, lifetimeIn(ctx, head), ctx.clock.now())) return stored
  if (head.state.get(event.type, event.stateKey)?.eventNumber === stored.eventNumber) return stored
  let pruned = prunedForms.get(stored)
  if (!pruned) {
    // What cannot be pruned cannot be read from the database either.
    pruned = { ...stored, event: prunedEvent(event, head.version) ?? event, flags: flags | eventFlags.redacted }
    prunedForms.set(stored, pruned)
  }
  return pruned
}

/**
 * What a viewer may be told in `unsigned` of the events that an event which they see replaced or was redacted by: those may
 * be from a time that is closed to them.
 */
export interface Besides {
  /** What the event replaced, if the viewer may see it or was in the room when it was replaced, and so knew the state. */
  replaced(stored: StoredEvent, replaced: StoredEvent): StoredEvent | null
  /** The redaction; without its reason if the viewer may not see it. */
  redaction(redaction: StoredEvent): StoredEvent
}

/** For events of one room; `besides` are all that they replaced or were redacted by. */
export async function besidesFor(
  ctx: Context,
  viewer: UserId,
  head: RoomHead,
  besides: readonly StoredEvent[],
): Promise<Besides> {
  const [visible, membershipAt] = await Promise.all([
    visibleEvents(ctx, viewer, head, besides),
    membershipHistory(ctx, viewer, head),
  ])
  const seen = new Set(visible.map(({ eventNumber }) => eventNumber))
  return {
    replaced: ({ position }, replaced) =>
      seen.has(replaced.eventNumber) || (position !== null && membershipAt(position - 1) === 'join') ? replaced : null,
    redaction: redaction =>
      seen.has(redaction.eventNumber)
        ? redaction
        : { ...redaction, event: prunedEvent(redaction.event, head.version) ?? redaction.event },
  }
}

/** How far a user may look into a room. */
export interface RoomAccess {
  readonly head: RoomHead
  readonly membership: Membership
  /** The newest position that the user may look at: where they left; `Infinity` for members and in world-readable rooms. */
  readonly upTo: number
}

/**
 * The access of a user to a room's state and history. Throws the same M_FORBIDDEN for an unknown room and for one that
 * is closed to the user: never a member and not world-readable, or forgotten.
 */
export async function roomAccess(ctx: Context, viewer: UserId, roomId: RoomId): Promise<RoomAccess> {
  const head = await roomHead(ctx, roomId)
  if (!head) throw notInRoom()
  const membership = head.membership(viewer)
  if (membership === 'join') return { head, membership, upTo: Infinity }
  const isWorldReadable = historyVisibilityOf(head.event('m.room.history_visibility')?.content) === 'world_readable'
  if (isWorldReadable) return { head, membership, upTo: Infinity }
  const spans = await histories(ctx).membership(head, viewer)
  const wasJoined = spans.some(span => span.value === 'join')
  const last = spans.at(-1)
  if (!wasJoined || !last || (await hasForgotten(ctx, head, viewer))) throw notInRoom()
  // Where the last stay ended: the first change after the last join.
  const lastJoin = spans.findLastIndex(span => span.value === 'join')
  const left = spans[lastJoin + 1] ?? last
  return { head, membership, upTo: left.position }
}

/** "After this API is called, however, a user will no longer be able to retrieve history for this room." */
async function hasForgotten(ctx: Context, head: RoomHead, viewer: UserId): Promise<boolean> {
  const userNumber = await ctx.numbers.knownUser(viewer)
  if (userNumber === null) return false
  return (await membershipOf(ctx.db.kysely, head.facts.roomNumber, userNumber))?.isForgotten ?? false
}
