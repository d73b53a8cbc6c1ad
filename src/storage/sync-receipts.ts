import { type EventId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'
import { type RoomSpan } from './sync-timelines.ts'

/** A receipt as it stands. */
export interface ReceiptRow {
  readonly roomNumber: number
  readonly userNumber: number
  readonly receiptType: 'm.read' | 'm.read.private'
  /** '' unthreaded, 'main' the main timeline, else the thread root. */
  readonly threadId: string
  readonly eventId: EventId
  readonly readTs: number
}

const changed = statement<
  [readonly number[], readonly number[], readonly number[], number],
  { room_number: number; user_number: number; receipt_type: string; thread_id: string; event_id: string; read_ts: number }
>(
  'sync_receipts',
  `SELECT r.room_number, r.user_number, r.receipt_type, r.thread_id, e.event_id, r.read_ts
   FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS w (room_number, after, up_to)
   JOIN receipts r ON r.room_number = w.room_number AND r.position > w.after AND r.position <= w.up_to
   JOIN events e USING (event_number)
   WHERE r.receipt_type = 'm.read' OR r.user_number = $4 ORDER BY r.position`,
) // prettier-ignore

/** The receipts that came within the spans and that the viewer may see: private ones are their own alone. */
export async function changedReceipts(
  reader: Reader,
  spans: readonly RoomSpan[],
  viewerNumber: number,
): Promise<ReceiptRow[]> {
  if (spans.length === 0) return []
  const rows = await changed.run(reader, [
    spans.map(span => span.roomNumber),
    spans.map(span => span.after),
    spans.map(span => span.upTo),
    viewerNumber,
  ])
  return rows.map(row => ({
    roomNumber: row.room_number,
    userNumber: row.user_number,
    // The column is checked to hold one of the two; the event ID was parsed before it was stored.
    receiptType: row.receipt_type as ReceiptRow['receiptType'],
    threadId: row.thread_id,
    eventId: row.event_id as EventId,
    readTs: row.read_ts,
  }))
}

const own = statement<[number, readonly number[]], { room_number: number; thread_id: string; position: number }>(
  'sync_own_receipts',
  `SELECT r.room_number, r.thread_id, max(e.position) AS position FROM receipts r JOIN events e USING (event_number)
   WHERE r.user_number = $1 AND r.room_number = ANY($2) AND e.position IS NOT NULL GROUP BY r.room_number, r.thread_id`,
)

/** How far a user has read in the rooms: for each thread the position of the newest event with a receipt of either kind. */
export async function readPositions(
  reader: Reader,
  userNumber: number,
  roomNumbers: readonly number[],
): Promise<{ readonly roomNumber: number; readonly threadId: string; readonly position: number }[]> {
  if (roomNumbers.length === 0) return []
  const rows = await own.run(reader, [userNumber, roomNumbers])
  return rows.map(row => ({ roomNumber: row.room_number, threadId: row.thread_id, position: row.position }))
}
