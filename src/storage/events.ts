import { canonicalJson } from '../protocol/canonical-json.ts'
import { readStoredEvent } from '../protocol/event-format.ts'
import { type DeviceId, type EventId } from '../protocol/identifiers.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { type Event } from '../protocol/event.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { type Reader, type Statement, statement } from './database.ts'
import { type Sealer } from '../privacy/seal.ts'
import { eventFlags, type StoredEvent } from './log-entries.ts'
import { type Numbers, type RoomFacts } from './numbers.ts'

/** An event as the database gives it. */
export interface EventRow {
  event_number: number
  room_number: number
  position: number | null
  event_id: string
  flags: number
  age_ts: number
  self_destruct_ts: number | null
  snapshot_number: number | null
  redacted_by: number | null
  body: Buffer
  /** Of a state event: its redacted form, for when the key of its body has been destroyed. */
  pruned: Buffer | null
  device_id: string | null
  transaction_id: string | null
}

/** The columns of an `EventRow`, over `events e` with `eventJoins`. */
export const eventColumns = `e.event_number, e.room_number, e.position, e.event_id, e.flags, e.age_ts,
  e.self_destruct_ts, e.snapshot_number, e.redacted_by, e.body, e.pruned, t.device_id, t.transaction_id`

/** What `eventColumns` needs beside `events e`. */
export const eventJoins = 'LEFT JOIN transactions t ON t.event_number = e.event_number'

/** The text that an event is kept as. */
export function eventBody(event: Event, version: RoomVersion): string {
  return canonicalJson(event.pdu, version.strictCanonicalJson ? 'strict' : 'lax')
}

/**
 * The event of a row; `null` if the row is damaged or its key has been destroyed, which costs that event and nothing else. A
 * state event without its key is what a redaction would have left of it.
 */
export function storedEvent(row: EventRow, room: RoomFacts, sealer: Sealer): StoredEvent | null {
  const whole = sealer.open(row.body, row.event_id)
  const text = whole ?? (row.pruned && sealer.open(row.pruned, row.event_id))
  if (text === null) return null
  const parsed = parseJson(text, { numbers: room.version.strictCanonicalJson ? 'open' : 'preserved' })
  if (!parsed.ok) return null
  // The column holds nothing but event IDs that were parsed before they were inserted.
  const read = readStoredEvent(parsed.value, row.event_id as EventId, room.version)
  if (!read.ok) return null
  return {
    eventNumber: row.event_number,
    roomNumber: row.room_number,
    position: row.position,
    event: read.event,
    flags: whole === null ? row.flags | eventFlags.redacted : row.flags,
    ageTs: row.age_ts,
    selfDestructTs: row.self_destruct_ts,
    snapshotNumber: row.snapshot_number,
    redactedBy: row.redacted_by,
    transaction:
      row.transaction_id === null
        ? null
        : // A device ID is any string.
          { deviceId: row.device_id as DeviceId | null, transactionId: row.transaction_id },
  }
}

/** The events of rows, in the order of the rows; damaged ones and those of unknown rooms are left out. */
export async function storedEvents(rows: readonly EventRow[], numbers: Numbers): Promise<StoredEvent[]> {
  const rooms = await numbers.rooms(rows.map(row => row.room_number))
  return rows.flatMap(row => {
    const room = rooms.get(row.room_number)
    const event = room ? storedEvent(row, room, numbers.sealer) : null
    return event ? [event] : []
  })
}

function select(name: string, where: string): Statement<[unknown], EventRow> {
  return statement<[unknown], EventRow>(name, `SELECT ${eventColumns} FROM events e ${eventJoins} WHERE ${where}`)
}

const byNumbers = select('events_by_numbers', 'e.event_number = ANY($1)')
const byIds = select('events_by_ids', 'e.event_id = ANY($1)')

/** Events by number, in no particular order; unknown ones are left out. */
export async function eventsByNumber(
  reader: Reader,
  numbers: Numbers,
  eventNumbers: readonly number[],
): Promise<StoredEvent[]> {
  if (eventNumbers.length === 0) return []
  return storedEvents(await byNumbers.run(reader, [eventNumbers]), numbers)
}

/** Events by ID, in no particular order; unknown ones are left out. Rejected events and outliers are among them. */
export async function eventsById(
  reader: Reader,
  numbers: Numbers,
  eventIds: readonly EventId[],
): Promise<StoredEvent[]> {
  if (eventIds.length === 0) return []
  return storedEvents(await byIds.run(reader, [eventIds]), numbers)
}

const timelineBackward = statement<[number, number, number, number], EventRow>(
  'events_timeline_backward',
  `SELECT ${eventColumns} FROM events e ${eventJoins}
   WHERE e.room_number = $1 AND e.position <= $2 AND e.position > $3 ORDER BY e.position DESC LIMIT $4`,
)
const timelineForward = statement<[number, number, number, number], EventRow>(
  'events_timeline_forward',
  `SELECT ${eventColumns} FROM events e ${eventJoins}
   WHERE e.room_number = $1 AND e.position > $2 AND e.position <= $3 ORDER BY e.position ASC LIMIT $4`,
)

/** A span of a room's timeline: positions after `after`, up to and including `upTo`. */
export interface TimelineSpan {
  readonly after: number
  readonly upTo: number
}

/** The whole timeline, backfilled events included. */
export const wholeTimeline: TimelineSpan = { after: -Number.MAX_SAFE_INTEGER, upTo: Number.MAX_SAFE_INTEGER }

/** A stretch of a room's timeline. */
export interface Stretch {
  /** In the order of walking: newest first when backward. */
  readonly events: readonly StoredEvent[]
  /** The position of the last row, whether it could be read or not; `null` if there was none. */
  readonly last: number | null
  /** True if there are no more rows beyond. */
  readonly isEnd: boolean
}

/**
 * What stands in up to `limit` rows of a room's timeline. Rejected, soft-failed and redacted events are among them: what a
 * reader may see is for `rooms/visibility.ts` to say. Rows that are damaged, or whose key has been destroyed, are not.
 */
export async function timeline(
  reader: Reader,
  numbers: Numbers,
  roomNumber: number,
  span: TimelineSpan,
  direction: 'forward' | 'backward',
  limit: number,
): Promise<Stretch> {
  const rows =
    direction === 'backward'
      ? await timelineBackward.run(reader, [roomNumber, span.upTo, span.after, limit])
      : await timelineForward.run(reader, [roomNumber, span.after, span.upTo, limit])
  const events = await storedEvents(rows, numbers)
  return { events, last: rows.at(-1)?.position ?? null, isEnd: rows.length < limit }
}

const earlierTransaction = statement<[Buffer], { event_number: number | null; event_id: string | null }>(
  'transactions_find',
  `SELECT t.event_number, e.event_id FROM transactions t LEFT JOIN events e ON e.event_number = t.event_number
   WHERE t.request_hash = $1`,
)

/** What a request with this hash was answered before: an event, `null` for a to-device message, `undefined` if it is new. */
export async function answeredBefore(reader: Reader, requestHash: Buffer): Promise<EventId | null | undefined> {
  const row = await earlierTransaction.first(reader, [requestHash])
  if (!row) return undefined
  // The column holds nothing but event IDs that were parsed before they were inserted.
  return row.event_id as EventId | null
}
