import { type Context } from '../../context.ts'
import { matchesEvent } from '../../protocol/filters.ts'
import { type Membership } from '../../protocol/history-visibility.ts'
import { type JsonObject } from '../../protocol/json.ts'
import { includesRoom } from '../../protocol/filters.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { bundledAggregations } from '../../rooms/bundles.ts'
import { roomHead, type RoomHead } from '../../rooms/head.ts'
import { type Besides, besidesFor, livesIn, membershipHistory, presentForm } from '../../rooms/visibility.ts'
import { type StoredEvent } from '../../storage/log-entries.ts'
import { type ReceiptRow } from '../../storage/sync-receipts.ts'
import { accountDataIn, type AccountDataItem, forgottenAmong } from '../../storage/sync-rooms.ts'
import { eventText } from '../event-text.ts'
import { type SyncRequest } from '../request.ts'
import { beginning, isUnbroken, type Source, type Stay } from '../source.ts'
import { type TypingNews } from '../typing-news.ts'
import { unreadCounts } from '../unread/counter.ts'
import { type RoomCounts } from '../unread/state.ts'
import { accountDataTexts } from './account-data.ts'
import { receiptEventTexts, typingEventText } from './ephemeral.ts'
import { layOutRoom } from './room-layout.ts'
import { type StateWanted, statesFor } from './state.ts'
import { summariesOf, type Summary, summaryText } from './summary.ts'
import { type Timeline, timelinesOf } from './timeline.ts'

/** What the parts of one answer share. */
export interface Sync {
  readonly ctx: Context
  readonly request: SyncRequest
  readonly source: Source
  readonly ignored: ReadonlySet<UserId>
  readonly accountData: readonly AccountDataItem[]
  readonly typing: TypingNews
}

/** A room that is told of, with what that takes. */
interface Work {
  readonly stay: Stay
  readonly head: RoomHead
  readonly isLeft: boolean
  /** The client does not know the room: all of its state is told. */
  readonly isFull: boolean
  /** The span of its timeline. */
  readonly after: number
  readonly upTo: number
  /** From here on the user was in the room. */
  readonly memberFrom: number
  /** Own member events after the end of the stay: a ban of someone who had left. */
  readonly ownEvents: readonly StoredEvent[]
}

/** The JSON texts of `rooms.join` and `rooms.leave`, by room ID. */
export interface RoomTexts {
  readonly join: ReadonlyMap<string, string>
  readonly leave: ReadonlyMap<string, string>
}

/** The rooms that the user is in, or was in until now. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
export async function roomTexts(sync: Sync, stays: readonly Stay[]): Promise<RoomTexts> {
  const { ctx, request, source } = sync
  const { filter, caller, since } = request
  const works = await worksOf(sync, stays)
  const timelines = await timelinesOf(
    ctx,
    source,
    { userId: caller.userId, ignored: sync.ignored, filter: filter.room.timeline },
    works,
  )
  const timelineOf = (work: Work): Timeline => {
    const timeline = timelines.get(work.head.facts.roomNumber) ?? { events: [], isCut: false, start: work.after }
    const known = new Set(timeline.events.map(({ eventNumber }) => eventNumber))
    const own = work.ownEvents.filter(
      stored =>
        !known.has(stored.eventNumber) &&
        livesIn(ctx, work.head, stored) &&
        filter.room.timeline.limit > 0 &&
        matchesEvent(filter.room.timeline, stored.event),
    )
    return own.length === 0 ? timeline : { ...timeline, events: [...timeline.events, ...own] }
  }
  const told = works.map(work => ({ work, timeline: timelineOf(work), roomNumber: work.head.facts.roomNumber }))

  const summaries = await summariesOf(ctx, source, caller, await summariesWanted(sync, works))
  const isLazy = filter.room.state.lazyLoadMembers
  const states = await statesFor(
    ctx,
    source,
    caller,
    { filter: filter.room.state, isAfter: request.stateAfterKeys.length > 0 },
    since?.position ?? null,
    told
      .filter(({ work }) => work.upTo > beginning)
      .map(({ work, timeline, roomNumber }): StateWanted => ({
        roomNumber,
        isFull: work.isFull,
        after: work.after,
        upTo: work.upTo,
        timeline,
        heroes: isLazy ? (summaries.get(roomNumber)?.heroes ?? []) : [],
      })),
  )
  const joined = told.filter(({ work }) => !work.isLeft)
  const receipts = groupByRoom(
    await source.receipts(
      joined.map(({ work, roomNumber }) => ({ roomNumber, after: work.isFull ? 0 : work.after, upTo: source.to })),
    ),
  )
  // Of a room that is new to the client, what was kept for it before the span is news as well.
  const fresh = since === null ? [] : joined.filter(({ work }) => work.isFull).map(each => each.roomNumber)
  const accountData = groupByRoom([
    ...sync.accountData.filter(item => !fresh.includes(item.roomNumber)),
    ...(await accountDataIn(source.reader, ctx.numbers.sealer, caller.userNumber, fresh, source.to)),
  ])
  const heads = joined.map(({ work }) => work.head)
  const counts = await unreadCounts(ctx, source, caller, sync.ignored, heads)
  const related = await source.related(told.flatMap(({ timeline }) => timeline.events))
  const bundles = await bundlesOf(sync, told)

  const join = new Map<string, string>()
  const leave = new Map<string, string>()
  for (const { work, timeline, roomNumber } of told) {
    const text = await roomText(sync, work, {
      timeline,
      state: states.get(roomNumber) ?? [],
      summary: summaries.get(roomNumber) ?? null,
      receipts: receipts.get(roomNumber) ?? [],
      accountData: accountData.get(roomNumber) ?? [],
      counts: counts.get(roomNumber) ?? null,
      related,
      bundles,
    })
    if (text !== null) (work.isLeft ? leave : join).set(work.head.roomId, text)
  }
  return { join, leave }
}

async function worksOf(sync: Sync, stays: readonly Stay[]): Promise<Work[]> {
  const { ctx, request, source } = sync
  const { filter, since, fullState } = request
  const wanted = stays.filter(stay => {
    if (!includesRoom(filter.room, stay.roomId)) return false
    return stay.membership === 'join' || stay.membership === 'leave' || stay.membership === 'ban'
  })
  const left = wanted.filter(stay => stay.membership !== 'join').map(stay => stay.roomNumber)
  const forgotten = await forgottenAmong(source.reader, request.caller.userNumber, left)
  const works = await Promise.all(
    wanted.map(async (stay): Promise<Work | null> => {
      if (forgotten.has(stay.roomNumber)) return null
      const head = await roomHead(ctx, stay.roomId)
      if (!head) return null
      const start = since?.position ?? beginning
      if (stay.membership !== 'join') return leftWork(stay, head, start)
      const isKnown = since !== null && stay.before === 'join'
      return {
        stay,
        head,
        isLeft: false,
        isFull: fullState || !isKnown || !isUnbroken(stay),
        // Of a room that is new to the client the history before the span is told as well.
        after: isKnown ? start : beginning,
        upTo: source.to,
        memberFrom: isKnown && isUnbroken(stay) ? start : stay.position,
        ownEvents: [],
      }
    }),
  )
  return works.filter(work => work !== null)
}

/** A room that the user left or was removed from: nothing after the end of their stay but their own membership. */
function leftWork(stay: Stay, head: RoomHead, start: number): Work {
  const { changes } = stay
  const lastJoin = changes.findLastIndex(change => change.membership === 'join')
  const wasIn = lastJoin >= 0 || stay.before === 'join'
  const end = wasIn ? changes[lastJoin + 1] : undefined
  const isKnown = stay.before === 'join'
  return {
    stay,
    head,
    isLeft: true,
    isFull: wasIn && (!isKnown || lastJoin >= 0),
    after: isKnown ? start : beginning,
    // Someone who never was in the room sees nothing of it.
    upTo: end?.position ?? beginning,
    // All of a stay that has ended goes through the gate, except where it was unbroken until its end.
    memberFrom: isKnown && lastJoin < 0 ? start : Infinity,
    ownEvents: changes.slice(wasIn ? lastJoin + 1 : 0).flatMap(change => change.event ?? []),
  }
}

async function summariesWanted(sync: Sync, works: readonly Work[]) {
  const known = works.filter(work => !work.isLeft && !work.isFull)
  const changes = await sync.source.stateChanges(
    known.map(({ head, after, upTo }) => ({ roomNumber: head.facts.roomNumber, after, upTo })),
  )
  return works.flatMap(({ head, isLeft, isFull }) => {
    if (isLeft) return []
    const naming = (changes.get(head.facts.roomNumber) ?? []).filter(
      ({ type }) => type === 'm.room.member' || type === 'm.room.name' || type === 'm.room.canonical_alias',
    )
    const last = naming.at(-1)
    // What is not in the span may have been changed by anything before.
    if (isFull) return [{ head, changedAt: -sync.source.to }]
    return last ? [{ head, changedAt: last.position }] : []
  })
}

/** "The bundled aggregations … when the `limited` flag is set" https://spec.matrix.org/v1.19/client-server-api/#server-side-aggregation */
async function bundlesOf(
  { ctx, request }: Sync,
  told: readonly { readonly work: Work; readonly timeline: Timeline }[],
): Promise<Map<number, JsonObject>> {
  const found = new Map<number, JsonObject>()
  const cut = told.filter(({ timeline }) => timeline.isCut)
  const bundles = await Promise.all(
    cut.map(({ work, timeline }) => bundledAggregations(ctx, request.caller, work.head, timeline.events)),
  )
  for (const each of bundles) for (const [number, bundle] of each) found.set(number, bundle)
  return found
}

/** The redaction that pruned the event; its reason is not told when its own lifetime is over. */
function livingRedaction(
  ctx: Context,
  head: RoomHead,
  { redactedBy }: StoredEvent,
  redactions: ReadonlyMap<number, StoredEvent>,
): StoredEvent | null {
  const redaction = redactedBy === null ? undefined : redactions.get(redactedBy)
  return redaction && livesIn(ctx, head, redaction) ? redaction : null
}

interface Parts {
  readonly timeline: Timeline
  readonly state: readonly StoredEvent[]
  readonly summary: Summary | null
  readonly receipts: readonly ReceiptRow[]
  readonly accountData: readonly AccountDataItem[]
  readonly counts: RoomCounts | null
  readonly related: Awaited<ReturnType<Source['related']>>
  readonly bundles: ReadonlyMap<number, JsonObject>
}

/** A room of the answer; `null` if there is nothing to tell of it. */
async function roomText(sync: Sync, work: Work, parts: Parts): Promise<string | null> {
  const { ctx, request } = sync
  const { filter, caller, since, fullState, stateAfterKeys } = request
  const { timeline, state, summary, receipts, accountData, counts } = parts
  const { roomId } = work.head
  const unrelated = { redaction: null, replaced: null }
  const membershipAt = await membershipsDuring(ctx, caller.userId, work, timeline)
  const told = await besidesDuring(ctx, caller.userId, work, timeline, parts.related)
  const present = (stored: StoredEvent) => presentForm(ctx, work.head, stored)
  const events = timeline.events.map(stored => {
    const before = parts.related.replaced.get(stored.eventNumber)
    const replaced = before && told ? told.replaced(stored, before) : before
    const redaction = livingRedaction(ctx, work.head, stored, parts.related.redactions)
    return eventText(
      ctx,
      caller,
      filter,
      present(stored),
      {
        redaction: redaction && told ? told.redaction(redaction) : redaction,
        replaced: replaced ? present(replaced) : null,
        membership: stored.position === null ? null : membershipAt(stored.position),
      },
      parts.bundles.get(stored.eventNumber) ?? null,
    )
  })
  const states = state.map(stored => eventText(ctx, caller, filter, present(stored), unrelated, null))
  const data = accountDataTexts(caller, filter.room.accountData, roomId, accountData)
  const ephemeral = work.isLeft ? [] : await receiptEventTexts(ctx, filter.room.ephemeral, roomId, receipts)
  const typing = work.isLeft ? null : sync.typing.in(roomId, since === null)
  const typingText = typing && typingEventText(filter.room.ephemeral, roomId, typing)
  if (typingText !== null) ephemeral.push(typingText)

  const hasRead = receipts.some(receipt => receipt.userNumber === caller.userNumber)
  const isTold =
    since === null || fullState || work.isLeft || work.isFull || timeline.isCut || summary !== null || hasRead
  if (!isTold && events.length + states.length + data.length + ephemeral.length === 0) return null

  // The client does not know where the timeline of a room that it knew goes on: it must not join the two.
  const first = timeline.events[0]?.position ?? work.upTo
  const reachesBack = since !== null && work.after === beginning && first <= since.position
  return layOutRoom({
    timeline: events,
    isLimited: timeline.isCut || reachesBack,
    before: prevBatch(timeline, work),
    state: states,
    stateAfterKeys,
    accountData: data,
    toMembers: work.isLeft
      ? null
      : {
          ephemeral,
          summary: summary ? summaryText(summary) : '{}',
          counts,
          countsByThread: filter.room.timeline.unreadThreadNotifications,
        },
  })
}

/** What the user was at each position of a timeline. While their stay is known to be unbroken, nobody is asked. */
async function membershipsDuring(
  ctx: Context,
  userId: UserId,
  work: Work,
  timeline: Timeline,
): Promise<(position: number) => Membership> {
  return isMemberThroughout(work, timeline) ? () => 'join' : membershipHistory(ctx, userId, work.head)
}

function isMemberThroughout({ isLeft, memberFrom }: Work, { events }: Timeline): boolean {
  return !isLeft && events.every(({ position }) => position !== null && position >= memberFrom)
}

/** What may be told beside the events of a timeline; `null` if everything, as to those who were in the room all the while. */
async function besidesDuring(
  ctx: Context,
  userId: UserId,
  work: Work,
  timeline: Timeline,
  { redactions, replaced }: Parts['related'],
): Promise<Besides | null> {
  if (isMemberThroughout(work, timeline)) return null
  const besides = timeline.events.flatMap(({ eventNumber, redactedBy }) => [
    replaced.get(eventNumber) ?? [],
    (redactedBy === null ? null : redactions.get(redactedBy)) ?? [],
  ])
  return besidesFor(ctx, userId, work.head, besides.flat())
}

/** The place before the first event, from where `/messages` goes on backwards. */
function prevBatch({ isCut, start, events }: Timeline, { upTo, stay }: Work): number {
  const first = events[0]?.position
  if (isCut) return start
  if (first !== undefined && first !== null) return first - 1
  return upTo === beginning ? stay.position : upTo
}

function groupByRoom<T extends { readonly roomNumber: number }>(items: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const item of items) {
    const group = groups.get(item.roomNumber)
    if (group) group.push(item)
    else groups.set(item.roomNumber, [item])
  }
  return groups
}
