import { type Context } from '../context.ts'
import { clientEvent, federationFormatEvent } from '../protocol/client-event.ts'
import { type Membership } from '../protocol/history-visibility.ts'
import { type DeviceId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { eventsByNumber } from '../storage/events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { previousState } from '../storage/room-heads.ts'
import { roomHead, type RoomHead } from './head.ts'
import { type Besides, besidesFor, livesIn, membershipHistory, presentForm } from './visibility.ts'

/** For whom events are shown. */
export interface Viewer {
  readonly userId: UserId
  readonly deviceId: DeviceId | null
}

/** How events are shown. */
export interface Shown {
  /** False where the answer tells the room in another place, as in /sync. */
  readonly withRoomId: boolean
  readonly format?: 'client' | 'federation'
  /** Bundled aggregations by event number, for `unsigned.m.relations`. */
  readonly bundles?: ReadonlyMap<number, JsonObject>
}

/**
 * Events as a client sees them, in their order, with all that `unsigned` says: `age`, `transaction_id` to the device that
 * sent it, the viewer's `membership` then, `prev_content` and `replaces_state` of state events, `redacted_because`. They must
 * have passed `visibleEvents`.
 * https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
export async function clientEvents(
  ctx: Context,
  viewer: Viewer,
  events: readonly StoredEvent[],
  shown: Shown,
): Promise<JsonObject[]> {
  const redactions = events.flatMap(({ redactedBy }) => redactedBy ?? [])
  const states = events.filter(({ event, position }) => event.stateKey !== null && position !== null)
  const [redactedBecause, replaced] = await Promise.all([
    eventsByNumber(ctx.db.kysely, ctx.numbers, redactions),
    previousState(ctx.db, ctx.numbers, states),
  ])
  const [living, memberships, heads] = await Promise.all([
    livingAmong(ctx, redactedBecause),
    membershipHistories(ctx, viewer, events),
    headsOf(ctx, events),
  ])
  const present = (stored: StoredEvent): StoredEvent => {
    const head = heads.get(stored.event.roomId)
    return head ? presentForm(ctx, head, stored) : stored
  }
  const redactionByNumber = new Map(living.map(redaction => [redaction.eventNumber, redaction]))
  const besides = await besidesByRoom(ctx, viewer, heads, [...living, ...replaced.values()])
  return events.map(stored => {
    const told = besides.get(stored.event.roomId)
    const before = replaced.get(stored.eventNumber)
    const replacedEvent = before && told ? told.replaced(stored, before) : null
    const redaction = stored.redactedBy === null ? undefined : redactionByNumber.get(stored.redactedBy)
    return showEvent(ctx, viewer, present(stored), shown, {
      redaction: redaction && told ? told.redaction(redaction) : null,
      replaced: replacedEvent && present(replacedEvent),
      membership: stored.position === null ? null : (memberships.get(stored.event.roomId)?.(stored.position) ?? null),
    })
  })
}

/** `besidesFor` in each room. */
async function besidesByRoom(
  ctx: Context,
  { userId }: Viewer,
  heads: ReadonlyMap<RoomId, RoomHead>,
  besides: readonly StoredEvent[],
): Promise<Map<RoomId, Besides>> {
  const found = new Map<RoomId, Besides>()
  for (const roomId of new Set(besides.map(({ event }) => event.roomId))) {
    const head = heads.get(roomId)
    if (head) found.set(roomId, await besidesFor(ctx, userId, head, besides))
  }
  return found
}

async function headsOf(ctx: Context, events: readonly StoredEvent[]): Promise<Map<RoomId, RoomHead>> {
  const heads = new Map<RoomId, RoomHead>()
  for (const roomId of new Set(events.map(({ event }) => event.roomId))) {
    const head = await roomHead(ctx, roomId)
    if (head) heads.set(roomId, head)
  }
  return heads
}

/** `membershipHistory` of the viewer in each room that the events are of. */
async function membershipHistories(ctx: Context, { userId }: Viewer, events: readonly StoredEvent[]) {
  const histories = new Map<RoomId, (position: number) => Membership>()
  for (const [roomId, head] of await headsOf(ctx, events))
    histories.set(roomId, await membershipHistory(ctx, userId, head))
  return histories
}

/** A redaction may come to its end before what it redacted, which may be state: its reason goes with it. */
async function livingAmong(ctx: Context, redactions: readonly StoredEvent[]): Promise<StoredEvent[]> {
  const heads = await Promise.all(redactions.map(({ event }) => roomHead(ctx, event.roomId)))
  return redactions.filter((redaction, index) => {
    const head = heads[index]
    return head ? livesIn(ctx, head, redaction) : false
  })
}

/** What an event's `unsigned` tells beyond the event itself. */
export interface Related {
  /** The redaction that pruned the event, while it lives. */
  readonly redaction: StoredEvent | null
  /** The state event that this one replaced. */
  readonly replaced: StoredEvent | null
  /** The viewer's membership at the event; absent or `null` where that has not been looked up. */
  readonly membership?: Membership | null
}

/** One event as a client sees it, when the events around it are known already. */
export function showEvent(
  ctx: Context,
  viewer: Viewer,
  stored: StoredEvent,
  shown: Shown,
  { redaction, replaced, membership }: Related,
): JsonObject {
  const { event, transaction } = stored
  const unsigned: JsonObject = { age: Math.max(0, ctx.clock.now() - event.originServerTs) }
  if (transaction && event.sender === viewer.userId && transaction.deviceId === viewer.deviceId) {
    unsigned['transaction_id'] = transaction.transactionId
  }
  if (membership) unsigned['membership'] = membership
  if (replaced) {
    unsigned['prev_content'] = replaced.event.content
    unsigned['prev_sender'] = replaced.event.sender
    unsigned['replaces_state'] = replaced.event.eventId
  }
  if (redaction) {
    unsigned['redacted_because'] = clientEvent(redaction.event, {}, true)
    unsigned['redacted_by'] = redaction.event.eventId
  }
  const bundle = shown.bundles?.get(stored.eventNumber)
  if (bundle) unsigned['m.relations'] = bundle
  return shown.format === 'federation'
    ? federationFormatEvent(event, { unsigned })
    : clientEvent(event, { unsigned }, shown.withRoomId)
}
