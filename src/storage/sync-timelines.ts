import { type Reader, statement } from './database.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'
import { type EventKey, eventKeyColumns, loadEvents } from './sync-events.ts'

/** A span of one room's timeline: after a position, up to and including another. */
export interface RoomSpan {
  readonly roomNumber: number
  readonly after: number
  readonly upTo: number
}

const newest = statement<[readonly number[], readonly number[], readonly number[], number], EventKey>(
  'sync_newest_events',
  `SELECT n.* FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS w (room_number, after, up_to)
   CROSS JOIN LATERAL (SELECT ${eventKeyColumns} FROM events e
     WHERE e.room_number = w.room_number AND e.position > w.after AND e.position <= w.up_to
     ORDER BY e.position DESC LIMIT $4) n`,
)

/** The newest `limit` events of each span, newest first, by room number. */
export async function newestEvents(
  reader: Reader,
  numbers: Numbers,
  spans: readonly RoomSpan[],
  limit: number,
): Promise<Map<number, StoredEvent[]>> {
  const found = new Map<number, StoredEvent[]>()
  if (spans.length === 0) return found
  const rows = await newest.run(reader, [
    spans.map(span => span.roomNumber),
    spans.map(span => span.after),
    spans.map(span => span.upTo),
    limit,
  ])
  for (const event of (await loadEvents(reader, numbers, rows)).values()) {
    const ofRoom = found.get(event.roomNumber)
    if (ofRoom) ofRoom.push(event)
    else found.set(event.roomNumber, [event])
  }
  for (const events of found.values()) events.sort((left, right) => (right.position ?? 0) - (left.position ?? 0))
  return found
}

const threaded = statement<[readonly number[], readonly number[], readonly number[], number], EventKey>(
  'sync_thread_events',
  `SELECT n.* FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS w (room_number, after, up_to)
   CROSS JOIN LATERAL (SELECT ${eventKeyColumns} FROM event_relations r
     JOIN events e ON e.event_number = r.child_number
     WHERE r.room_number = w.room_number AND r.rel_type = 'm.thread'
       AND e.position > w.after AND e.position <= w.up_to
     ORDER BY r.child_number DESC LIMIT $4) n`,
)

/** The newest events of threads in each span, at most `limit` of each room; in no particular order. */
export async function newestThreadEvents(
  reader: Reader,
  numbers: Numbers,
  spans: readonly RoomSpan[],
  limit: number,
): Promise<StoredEvent[]> {
  if (spans.length === 0) return []
  const rows = await threaded.run(reader, [
    spans.map(span => span.roomNumber),
    spans.map(span => span.after),
    spans.map(span => span.upTo),
    limit,
  ])
  return [...(await loadEvents(reader, numbers, rows)).values()]
}
