import { type Context } from '../context.ts'
import { isQueueEmpty } from '../encryption/to-device.ts'
import { includesRoom, matchesEvent } from '../protocol/filters.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { knownHead } from '../rooms/head.ts'
import { livesIn } from '../rooms/visibility.ts'
import { type LogEntry, type StoredEvent } from '../storage/log-entries.ts'
import { eventText } from './event-text.ts'
import { type KnownUser } from './known-users.ts'
import { liveOf } from './live.ts'
import { type SyncRequest } from './request.ts'
import { type Answer } from './response.ts'
import { layOutRoom } from './sections/room-layout.ts'
import { knowsSenders } from './sections/state.ts'
import { membersIn, type Placed, type Tail } from './tail.ts'
import { type SyncToken } from './token.ts'
import { typingMark } from './typing-news.ts'
import { knownUnreadCounts } from './unread/counter.ts'

/** Longer spans are left to the general way. */
const spanLimit = 64

const unrelated = { redaction: null, replaced: null, membership: 'join' } as const

/**
 * The answer for a span in which nothing happened that concerns the user but messages in one room, if the tail covers it
 * and all that it takes is at hand: what nearly every waiting client is woken for. The same to the byte as `buildFromTail`
 * gives, without a promise; `null` wherever there is the least to ask or to weigh.
 */
export function answerMessagesAlone(
  ctx: Context,
  request: SyncRequest,
  since: SyncToken,
  user: KnownUser,
): Answer | null {
  const { tail } = liveOf(ctx)
  const { caller, filter } = request
  const after = since.position
  const to = tail.head
  const mark = typingMark(ctx)
  if (request.fullState || since.toDevice !== undefined || since.typing !== mark || to - after > spanLimit) return null
  if (tail.hasNewsOf(caller.userId, after) || tail.deviceLists(after, to).length > 0) return null
  const { userId, userNumber, deviceId } = caller
  if (deviceId !== null && !isQueueEmpty(ctx, { userId, userNumber, deviceId }, to)) return null
  const found = messagesOfOneRoom(tail, user, after)
  if (!found) return null
  const { roomId, events } = found
  const next = { position: to, typing: mark, epoch: ctx.log.epoch }
  if (roomId === null || !includesRoom(filter.room, roomId)) return { fields: [], next }
  const head = knownHead(ctx, roomId)
  // Nobody's stay began or ended in the span: that would have been news of theirs.
  if (!head || user.rooms.get(roomId)?.membership !== 'join' || events.length > filter.room.timeline.limit) return null
  const shown = events.filter(stored => {
    const { type, sender, content } = stored.event
    if (user.ignored.has(sender) || !matchesEvent(filter.room.timeline, { type, sender, roomId, content })) return false
    return livesIn(ctx, head, stored)
  })
  const [first] = shown
  if (!first) return { fields: [], next }
  const { roomNumber } = head.facts
  if (!knowsSenders(ctx, caller, filter.room.state, roomNumber, after, shown)) return null
  const counts = knownUnreadCounts(ctx, to, caller, user.ignored, head)
  if (!counts) return null
  const text = layOutRoom({
    timeline: shown.map(stored => eventText(ctx, caller, filter, stored, unrelated, null)),
    isLimited: false,
    before: (first.position ?? to) - 1,
    state: [],
    stateAfterKeys: request.stateAfterKeys,
    accountData: [],
    toMembers: {
      ephemeral: [],
      summary: '{}',
      counts,
      countsByThread: filter.room.timeline.unreadThreadNotifications,
    },
  })
  return { fields: [`"rooms":{"join":{${JSON.stringify(roomId)}:${text}}}`], next }
}

/** The messages after a position in the rooms of a user, all of one room; no room where there are none. `null` if something
 *  else happened, or it was more than one room. */
function messagesOfOneRoom(
  tail: Tail,
  user: KnownUser,
  after: number,
): { readonly roomId: RoomId | null; readonly events: readonly StoredEvent[] } | null {
  let roomId: RoomId | null = null
  const events: StoredEvent[] = []
  for (const entry of tail.entriesAfter(after)) {
    // Something of a room may have been deleted since it came.
    if (entry.kind === 'room') return null
    if (entry.kind !== 'event' && entry.kind !== 'receipt') continue
    if (!user.rooms.has(entry.roomId)) {
      // Whose devices one is told of may change with the members of any room.
      if (entry.kind === 'event' && membersIn(entry).length > 0) return null
      continue
    }
    if (!isMessage(tail, entry) || (roomId !== null && roomId !== entry.roomId)) return null
    roomId = entry.roomId
    events.push(entry.stored)
  }
  return { roomId, events }
}

/** True for an event that changes nothing and that nothing has changed. */
function isMessage(tail: Tail, entry: LogEntry): entry is Placed<'event'> {
  if (entry.kind !== 'event') return false
  const { stored, stateChanges, pruned } = entry
  if (stateChanges.length > 0 || pruned.length > 0) return false
  const isWhole = stored.flags === 0 && stored.redactedBy === null && tail.prunedBy(stored.eventNumber) === null
  return isWhole && stored.event.stateKey === null
}
