import { type Reader, statement } from './database.ts'

/** Names one receipt of a room: a user has one of each type in each thread. */
export interface ReceiptKey {
  readonly roomNumber: number
  readonly userNumber: number
  readonly receiptType: 'm.read' | 'm.read.private'
  /** '' unthreaded, 'main' the main timeline, else the thread root. */
  readonly threadId: string
}

const readUpTo = statement<[number, number, string, string], { position: number | null }>(
  'receipts_read_up_to',
  `SELECT e.position FROM receipts r JOIN events e USING (event_number)
   WHERE r.room_number = $1 AND r.user_number = $2 AND r.receipt_type = $3 AND r.thread_id = $4`,
)

/** The position of the event that the receipt is on; `null` where there is no such receipt. */
export async function receiptPosition(reader: Reader, key: ReceiptKey): Promise<number | null> {
  const { roomNumber, userNumber, receiptType, threadId } = key
  return (await readUpTo.first(reader, [roomNumber, userNumber, receiptType, threadId]))?.position ?? null
}

const positionById = statement<[string, number], { position: number | null }>(
  'receipts_event_position',
  'SELECT position FROM events WHERE event_id = $1 AND room_number = $2',
)

/** The position of an event of the room; `null` for one that is not there (any more) or has none. */
export async function positionOfEvent(reader: Reader, roomNumber: number, eventId: string): Promise<number | null> {
  return (await positionById.first(reader, [eventId, roomNumber]))?.position ?? null
}
