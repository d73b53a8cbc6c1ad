import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../../context.ts'
import { type User } from '../../http/endpoint.ts'
import { membershipIn } from '../../protocol/history-visibility.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { isJsonObject } from '../../protocol/json.ts'
import { type CompiledRuleset, evaluatePushRules, preparePushEvent, type PreparedPushEvent } from '../../protocol/push-rules/evaluate.ts' // prettier-ignore
import { relationOf } from '../../protocol/relations.ts'
import { isExpired } from '../../protocol/retention.ts'
import { knownPushRules, pushRulesOf } from '../../push/rules.ts'
import { type RoomHead } from '../../rooms/head.ts'
import { lifetimeIn, livesIn } from '../../rooms/visibility.ts'
import { eventsById } from '../../storage/events.ts'
import { eventFlags, type StoredEvent } from '../../storage/log-entries.ts'
import { readPositions } from '../../storage/sync-receipts.ts'
import { ownMemberChanges } from '../../storage/sync-rooms.ts'
import { newestEvents, newestThreadEvents } from '../../storage/sync-timelines.ts'
import { liveOf } from '../live.ts'
import { beginning, type Source } from '../source.ts'
import { countsOf, isUnread, notificationLimit, type RoomCounts, type Unread } from './state.ts'

/** How much memory the unread events of rooms of users may take; and about what a room takes, and each event in it. */
const rememberedLimitBytes = 32 * 1024 * 1024
const roomOverheadBytes = 500
const notificationBytes = 120
/** How many events of a room are looked at for a user of whom nothing is remembered: no more are counted. */
const coldStartLimit = 100
/** How far relations are followed to find a thread. "a maximum of 3 hops is recommended" */
const hopLimit = 3

/** By user and room number. */
const remembered = perServer(
  () =>
    new LRUCache<string, Unread>({
      maxSize: rememberedLimitBytes,
      sizeCalculation: ({ notifications, read }) =>
        roomOverheadBytes + (notifications.length + read.size) * notificationBytes,
    }),
)

const prepared = new WeakMap<StoredEvent, PreparedPushEvent>()

/** What the counting of one user's events needs. */
interface Reader {
  readonly caller: Pick<User, 'userId' | 'userNumber'>
  readonly rules: CompiledRuleset
}

/**
 * The unread counts of rooms that the user has joined, by room number, up to the end of the source's span. They are counted
 * when they are first asked for, and from then on kept up with the log's tail.
 * https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
export async function unreadCounts(
  ctx: Context,
  source: Source,
  caller: Pick<User, 'userId' | 'userNumber'>,
  ignored: ReadonlySet<UserId>,
  heads: readonly RoomHead[],
): Promise<Map<number, RoomCounts>> {
  const cache = remembered(ctx)
  const { tail } = liveOf(ctx)
  const reader = { caller, rules: (await pushRulesOf(ctx, caller.userId)).compiled }
  const states = new Map<number, Unread>()
  const cold: RoomHead[] = []
  for (const head of heads) {
    const { roomNumber } = head.facts
    const known = cache.get(`${caller.userNumber} ${roomNumber}`)
    if (known && known.upTo >= source.to) states.set(roomNumber, known)
    else if (known && tail.covers(known.upTo) && tail.head >= source.to)
      states.set(roomNumber, await advance(ctx, reader, head, known, source.to)) // prettier-ignore
    else cold.push(head)
  }
  if (cold.length > 0) for (const [roomNumber, state] of await startCold(ctx, source, reader, cold)) states.set(roomNumber, state) // prettier-ignore

  const counts = new Map<number, RoomCounts>()
  for (const head of heads) {
    const state = states.get(head.facts.roomNumber)
    if (state) counts.set(head.facts.roomNumber, shownCounts(ctx, caller, ignored, head, state))
  }
  return counts
}

/** The counts of one room if they can be told without asking the database; else `null`. */
export function knownUnreadCounts(
  ctx: Context,
  to: number,
  caller: Pick<User, 'userId' | 'userNumber'>,
  ignored: ReadonlySet<UserId>,
  head: RoomHead,
): RoomCounts | null {
  const { tail } = liveOf(ctx)
  const known = remembered(ctx).get(`${caller.userNumber} ${head.facts.roomNumber}`)
  const rules = knownPushRules(ctx, caller.userId)?.compiled
  if (!known || !rules || !tail.covers(known.upTo) || tail.head < to) return null
  if (known.upTo >= to) return shownCounts(ctx, caller, ignored, head, known)
  const { events, from } = newsSince(ctx, caller.userId, head, known, to)
  const state = settle(ctx, { caller, rules }, head, events, from, knownThread)
  return state && shownCounts(ctx, caller, ignored, head, state)
}

/** What is told of a state, which is remembered. */
function shownCounts(
  ctx: Context,
  { userNumber }: Pick<User, 'userNumber'>,
  ignored: ReadonlySet<UserId>,
  head: RoomHead,
  state: Unread,
): RoomCounts {
  const cache = remembered(ctx)
  const name = `${userNumber} ${head.facts.roomNumber}`
  const known = cache.get(name)
  if (!known || known.upTo < state.upTo) cache.set(name, state)
  const policy = lifetimeIn(ctx, head)
  const nowMs = ctx.clock.now()
  return countsOf(state, ({ sender, isState, ageTs, selfDestructTs }) => {
    if (!isState && ignored.has(sender)) return false
    return !isExpired({ event: { stateKey: isState ? '' : null }, ageTs, selfDestructTs }, policy, nowMs)
  })
}

/** The state after the entries of the tail up to a position. */
function advance(ctx: Context, reader: Reader, head: RoomHead, known: Unread, to: number): Promise<Unread> {
  const { events, from } = newsSince(ctx, reader.caller.userId, head, known, to)
  return settled(ctx, reader, head, events, from)
}

/** The events of the tail that a state does not count yet, and what it is without them, but with what was read and pruned. */
function newsSince(
  ctx: Context,
  userId: UserId,
  head: RoomHead,
  from: Unread,
  to: number,
): { readonly events: readonly StoredEvent[]; readonly from: Unread } {
  const { tail } = liveOf(ctx)
  const read = new Map(from.read)
  for (const receipt of tail.receiptsOf(head.roomId, from.upTo, to)) {
    if (receipt.userId !== userId) continue
    read.set(receipt.threadId, Math.max(read.get(receipt.threadId) ?? 0, receipt.eventPosition))
  }
  const entries = tail.eventsOf(head.roomId, from.upTo, to)
  const pruned = new Set(entries.flatMap(entry => entry.pruned.map(({ eventNumber }) => eventNumber)))
  const events = entries.map(entry => entry.stored).filter(({ eventNumber }) => tail.prunedBy(eventNumber) === null)
  const notifications = from.notifications.filter(each => !pruned.has(each.eventNumber))
  return { events, from: { upTo: to, read, notifications } }
}

/** Like `settle`, for events whose threads may have to be looked for. */
async function settled(
  ctx: Context,
  reader: Reader,
  head: RoomHead,
  events: readonly StoredEvent[],
  from: Unread,
): Promise<Unread> {
  const atOnce = settle(ctx, reader, head, events, from, knownThread)
  if (atOnce) return atOnce
  const threads = new Map<StoredEvent, string>()
  for (const stored of events) threads.set(stored, knownThread(stored) ?? (await threadOf(ctx, stored)))
  // Every event has its thread now.
  return settle(ctx, reader, head, events, from, stored => threads.get(stored) ?? 'main') ?? from
}

/**
 * Evaluates the rules for events, oldest first, on top of a state. What the user says themselves counts as having read, and
 * whoever comes back begins anew: what was said before, and while they were away, is not news to them. `null` if the thread
 * of one of the events is not known.
 */
function settle(
  ctx: Context,
  reader: Reader,
  head: RoomHead,
  events: readonly StoredEvent[],
  { upTo, read: readBefore, notifications: before }: Unread,
  threadFor: (stored: StoredEvent) => string | null,
): Unread | null {
  const read = new Map(readBefore)
  const notifications = [...before]
  const { userId } = reader.caller
  let levels: Levels | null = null
  let isAway = false
  for (const stored of events) {
    const { event, position } = stored
    if (position !== null && event.type === 'm.room.member' && event.stateKey === userId) {
      const isJoin = membershipIn(event.content) === 'join'
      if (isJoin && isAway) read.set('', Math.max(read.get('') ?? 0, position))
      isAway = !isJoin
    }
    if (isAway) continue
    if (position === null || (stored.flags & eventFlags.redacted) !== 0 || !livesIn(ctx, head, stored)) continue
    if (event.sender === userId) {
      // "When the user updates their read receipt (either by using the API or by sending an event)"
      if (event.stateKey === null) {
        const threadId = threadFor(stored)
        if (threadId === null) return null
        read.set(threadId, Math.max(read.get(threadId) ?? 0, position))
      }
      continue
    }
    levels ??= levelsOf(head)
    const outcome = evaluate(reader, head, levels, stored)
    if (!outcome.notify) continue
    const threadId = threadFor(stored)
    if (threadId === null) return null
    notifications.push({
      eventNumber: stored.eventNumber,
      position,
      threadId,
      isHighlight: outcome.highlight,
      sender: event.sender,
      isState: event.stateKey !== null,
      ageTs: stored.ageTs,
      selfDestructTs: stored.selfDestructTs,
    })
  }
  const unread = notifications.filter(each => isUnread({ read }, each))
  return { upTo, read, notifications: unread.slice(0, notificationLimit) }
}

/** What a room's power levels say about notifications. */
interface Levels {
  readonly ofUser: (userId: UserId) => number
  readonly notifications: ReadonlyMap<string, number>
}

function levelsOf(head: RoomHead): Levels {
  const levels = head.powerLevels
  const kinds = head.event('m.room.power_levels')?.content['notifications']
  const names = isJsonObject(kinds) ? Object.keys(kinds) : []
  return {
    ofUser: userId => levels.userLevel(userId),
    notifications: new Map(names.map(name => [name, levels.notificationLevel(name)])),
  }
}

function evaluate(reader: Reader, head: RoomHead, levels: Levels, stored: StoredEvent) {
  const { event } = stored
  let ready = prepared.get(stored)
  if (!ready) prepared.set(stored, (ready = preparePushEvent(event)))
  const { userId } = reader.caller
  const displayName = head.event('m.room.member', userId)?.content['displayname']
  return evaluatePushRules(reader.rules, ready, {
    userId,
    displayName: typeof displayName === 'string' ? displayName : null,
    memberCount: head.joinedCount,
    senderPowerLevel: levels.ofUser(event.sender),
    notificationLevels: levels.notifications,
  })
}

/** The same where the event itself says it; `null` where its parent must be looked at. */
function knownThread({ event }: StoredEvent): string | null {
  const relation = event.stateKey === null ? relationOf(event.content) : null
  if (!relation) return 'main'
  return relation.relType === 'm.thread' ? relation.eventId : null
}

/** The root of the thread that an event is in; `main` outside threads. */
async function threadOf(ctx: Context, stored: StoredEvent): Promise<string> {
  let event = stored.event
  for (let hop = 0; hop <= hopLimit; hop++) {
    const relation = event.stateKey === null ? relationOf(event.content) : null
    if (!relation) return 'main'
    if (relation.relType === 'm.thread') return relation.eventId
    const [parent] = await eventsById(ctx.db.kysely, ctx.numbers, [relation.eventId])
    if (!parent || parent.roomNumber !== stored.roomNumber) return 'main'
    event = parent.event
  }
  return 'main'
}

/** The state of rooms of which nothing is remembered, from the database. */
async function startCold(
  ctx: Context,
  source: Source,
  reader: Reader,
  heads: readonly RoomHead[],
): Promise<Map<number, Unread>> {
  const { numbers } = ctx
  const { userId, userNumber } = reader.caller
  const roomNumbers = heads.map(head => head.facts.roomNumber)
  const reads = new Map<number, Map<string, number>>(roomNumbers.map(number => [number, new Map<string, number>()]))
  for (const { roomNumber, threadId, position } of await readPositions(source.reader, userNumber, roomNumbers))
    reads.get(roomNumber)?.set(threadId, position)
  // Where nothing was read since the user joined, everything since then is unread. Their last member event tells for most
  // rooms that this is not so.
  const known = liveOf(ctx).users.get(userId)
  const unreadRooms = heads
    .filter(({ roomId, facts }) => {
      const readTo = reads.get(facts.roomNumber)?.get('')
      const lastChange = known?.rooms.get(roomId)?.position
      return readTo === undefined || lastChange === undefined || readTo < lastChange
    })
    .map(head => head.facts.roomNumber)
  const joinedAt = new Map<number, number>()
  const isIn = new Set<number>()
  const span = { after: beginning, upTo: source.to }
  for (const { roomNumber, position, event } of await ownMemberChanges(
    source.reader,
    numbers,
    unreadRooms,
    userId,
    span,
  )) {
    const isJoin = membershipIn(event?.event.content) === 'join'
    if (isJoin && !isIn.has(roomNumber)) joinedAt.set(roomNumber, position)
    if (isJoin) isIn.add(roomNumber)
    else isIn.delete(roomNumber)
  }
  const spans = roomNumbers.map(roomNumber => {
    const read = reads.get(roomNumber)
    const joined = joinedAt.get(roomNumber)
    const all = Math.max(read?.get('') ?? joined ?? source.to, joined ?? 0)
    return { roomNumber, after: Math.max(all, read?.get('main') ?? 0), upTo: source.to, threadsAfter: all }
  })
  const found = await newestEvents(
    source.bulk,
    numbers,
    spans.filter(each => each.after < each.upTo),
    coldStartLimit,
  )
  // What was read of the main timeline alone leaves older events of threads unread.
  const older = spans.map(({ roomNumber, after, threadsAfter }) => ({ roomNumber, after: threadsAfter, upTo: after }))
  for (const stored of await newestThreadEvents(
    source.bulk,
    numbers,
    older.filter(each => each.after < each.upTo),
    coldStartLimit,
  ))
    // prettier-ignore
    found.set(stored.roomNumber, [...(found.get(stored.roomNumber) ?? []), stored])

  const states = new Map<number, Unread>()
  for (const head of heads) {
    const { roomNumber } = head.facts
    const events = [...(found.get(roomNumber) ?? [])].sort(
      (left, right) => (left.position ?? 0) - (right.position ?? 0),
    )
    const read = reads.get(roomNumber) ?? new Map<string, number>()
    states.set(roomNumber, await settled(ctx, reader, head, events, { upTo: source.to, read, notifications: [] }))
  }
  return states
}
