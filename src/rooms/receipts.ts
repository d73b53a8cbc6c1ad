import { type Context, perServer } from '../context.ts'
import { forbidden, invalidParam, notInRoom } from '../errors.ts'
import { type EventId, parseEventId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonValue } from '../protocol/json.ts'
import { relationOf } from '../protocol/relations.ts'
import { markerPosition } from '../storage/account-data.ts'
import { DatabaseError } from '../storage/database.ts'
import { eventsById } from '../storage/events.ts'
import { type Announcement } from '../storage/log-changes.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { receiptPosition } from '../storage/receipts.ts'
import { type RoomHead, roomHead } from './head.ts'
import { Turns } from './turns.ts'
import { visibleEvents } from './visibility.ts'

/** `m.fully_read` is no receipt, but is sent as one. */
export const receiptTypes = ['m.read', 'm.read.private', 'm.fully_read'] as const

export type ReceiptType = (typeof receiptTypes)[number]

/** "I have read up to here." */
export interface Mark {
  readonly receiptType: ReceiptType
  readonly eventId: EventId
  /** `null` unthreaded, `main` the main timeline, else the root of the thread. */
  readonly threadId: string | null
}

const fullyReadType = 'm.fully_read'
const mainTimeline = 'main'
/** "A maximum of 3 hops is recommended to cover indirect relationships." */
const threadHops = 3

/**
 * The thread that a request names in `thread_id`; `null` for none. Throws M_INVALID_PARAM for what is not a non-empty string
 * and for what could not be one of the room's threads.
 */
export function readThreadId(value: JsonValue | undefined): string | null {
  if (value === undefined) return null
  if (typeof value !== 'string' || value === '') throw invalidParam('thread_id field must be a non-empty string')
  if (value !== mainTimeline && parseEventId(value) === null)
    throw invalidParam('thread_id must be "main" or an event ID')
  return value
}

/**
 * Marks an event as read and wakes those whom it concerns. Returns false if the user had already read further. Throws
 * M_FORBIDDEN for a room that the user has not joined, known or not, and for an event that they cannot see, existing or not;
 * M_INVALID_PARAM for a thread that the event is not in.
 * https://spec.matrix.org/v1.19/client-server-api/#receipts
 */
export async function acknowledge(
  ctx: Context,
  userId: UserId,
  { roomId, ...mark }: Mark & { readonly roomId: RoomId },
): Promise<boolean> {
  return (await markRead(ctx, userId, roomId, [mark])) > 0
}

/**
 * Sets several markers: all of them, or none if one of them is refused. Each only moves forward; returns how many did.
 * Throws as `acknowledge` does. https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers
 */
export async function markRead(ctx: Context, userId: UserId, roomId: RoomId, marks: readonly Mark[]): Promise<number> {
  const head = await roomHead(ctx, roomId)
  if (head?.membership(userId) !== 'join') throw notInRoom()
  const events = farthest(await seenEvents(ctx, userId, head, marks.map(shared(ctx))))
  for (const { receiptType, threadId, event } of events) {
    if (threadId === null) continue
    if (receiptType === fullyReadType) throw invalidParam('The fully read marker has no thread')
    await checkThread(ctx, head, event, threadId)
  }
  return turns(ctx).take(`${roomId} ${userId}`, async () => {
    const forward = await Promise.all(events.map(seen => announcementOf(ctx, userId, head, seen)))
    const announcements = forward.filter(announcement => announcement !== null)
    try {
      await ctx.log.post(announcements)
    } catch (error) {
      // The event was swept between the look at it and the commit.
      if (error instanceof DatabaseError && error.constraint === 'receipts_event_number_fkey') throw unseen()
      throw error
    }
    return announcements.length
  })
}

/** The mark as it is kept: where receipts are not shared, each is a private one, which the reader's own devices see. */
function shared(ctx: Context): (mark: Mark) => Mark {
  if (ctx.config.sharing.receipts) return mark => mark
  return mark => (mark.receiptType === 'm.read' ? { ...mark, receiptType: 'm.read.private' } : mark)
}

/** One mark of each kind and thread: a public and a private one may have become two of a kind. */
function farthest(marks: readonly SeenMark[]): readonly SeenMark[] {
  const chosen = new Map<string, SeenMark>()
  for (const mark of marks) {
    const kind = `${mark.receiptType} ${mark.threadId ?? ''}`
    const other = chosen.get(kind)
    if (!other || other.position < mark.position) chosen.set(kind, mark)
  }
  return [...chosen.values()]
}

const unseen = () => forbidden('There is no such event in that room')

interface SeenMark extends Mark {
  readonly event: StoredEvent
  /** Where the event stands in the log. */
  readonly position: number
}

/** The marks with their events. Throws if the user cannot see one of them. */
async function seenEvents(ctx: Context, userId: UserId, head: RoomHead, marks: readonly Mark[]): Promise<SeenMark[]> {
  const wanted = [...new Set(marks.map(({ eventId }) => eventId))]
  const found = await eventsById(ctx.db.kysely, ctx.numbers, wanted)
  const visible = new Map((await visibleEvents(ctx, userId, head, found)).map(event => [event.event.eventId, event]))
  return marks.map(mark => {
    const event = visible.get(mark.eventId)
    if (!event || event.position === null) throw unseen()
    return { ...mark, event, position: event.position }
  })
}

/**
 * Throws M_INVALID_PARAM unless the event belongs to the thread. The root of a thread and what is related to it in other ways
 * are in the main timeline; a receipt in the thread may stand on them too, since they are shown at its top.
 * https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts
 */
async function checkThread(ctx: Context, head: RoomHead, { event }: StoredEvent, threadId: string): Promise<void> {
  const wrong = () => invalidParam('The event is not in that thread')
  // It is not in the thread of its own, which hangs below it.
  if (event.eventId === threadId) return
  let relation = event.stateKey === null ? relationOf(event.content) : null
  for (let hop = 0; relation && hop < threadHops; hop++) {
    const { relType, eventId: parentId } = relation
    if (relType === 'm.thread') {
      if (parentId !== threadId) throw wrong()
      return
    }
    if (parentId === threadId) return
    const [parent] = await eventsById(ctx.db.kysely, ctx.numbers, [parentId])
    relation = parent?.roomNumber === head.facts.roomNumber ? relationOf(parent.event.content) : null
  }
  if (threadId !== mainTimeline) throw wrong()
}

/** What is to be said of a mark; `null` if the user had already read as far. */
async function announcementOf(
  ctx: Context,
  userId: UserId,
  head: RoomHead,
  { receiptType, eventId, event, position, threadId }: SeenMark,
): Promise<Announcement | null> {
  const userNumber = await ctx.numbers.user(userId)
  const { roomId, roomNumber } = head.facts
  if (receiptType === fullyReadType) {
    const before = await markerPosition(ctx.db.kysely, userNumber, roomNumber)
    if (before !== null && before >= position) return null
    const content = JSON.stringify({ event_id: eventId })
    return { kind: 'account_data', userId, roomId, type: fullyReadType, content, eventNumber: event.eventNumber }
  }
  const key = { roomNumber, userNumber, receiptType, threadId: threadId ?? '' }
  const before = await receiptPosition(ctx.db.kysely, key)
  if (before !== null && before >= position) return null
  return {
    kind: 'receipt',
    roomId,
    userId,
    receiptType,
    threadId: key.threadId,
    eventId,
    eventNumber: event.eventNumber,
    eventPosition: position,
    readTs: ctx.clock.now(),
  }
}

/** Of two marks at once the farther one stays. */
const turns = perServer(() => new Turns())
