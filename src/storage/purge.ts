import { sql } from 'kysely'
import { type EventId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'
import { eventFlags, logKinds } from './log-entries.ts'
import { type ExpiredEvent, killSeals } from './sweep.ts'

interface PurgedRow {
  event_number: number
  event_id: string
  position: number | null
  snapshot_number: number | null
}

/**
 * Up to `limit` messages of a room, oldest first, that were sent before a position or a time. What the next event is built on
 * is not among them; what users of this server sent only `withLocal`.
 */
export async function messagesBefore(
  reader: Reader,
  roomNumber: number,
  before: { readonly position: number | null; readonly ts: number | null },
  withLocal: boolean,
  limit: number,
): Promise<ExpiredEvent[]> {
  const { rows } = await sql<PurgedRow>`SELECT e.event_number, e.event_id, e.position, e.snapshot_number
    FROM rooms r JOIN events e USING (room_number) JOIN users u ON u.user_number = e.sender_number
    WHERE r.room_number = ${roomNumber} AND e.state_key_number IS NULL AND e.position IS NOT NULL
      AND (${before.position}::bigint IS NULL OR e.position < ${before.position})
      AND (${before.ts}::bigint IS NULL OR e.origin_server_ts < ${before.ts})
      AND (${withLocal} OR NOT u.is_local)
      AND NOT e.event_number = ANY (r.forward_extremities)
    ORDER BY e.position LIMIT ${limit}`.execute(reader)
  return rows.map(row => ({
    eventNumber: row.event_number,
    roomNumber,
    // The column holds nothing but event IDs that were parsed before they were inserted.
    eventId: row.event_id as EventId,
    position: row.position,
    snapshotNumber: row.snapshot_number,
    isExtremity: false,
  }))
}

/**
 * Up to `limit` messages that a user sent to a room before a position and that are not redacted, the newest first; of a time
 * if there are bounds, which count as within.
 */
export async function messagesOfSender(
  reader: Reader,
  roomNumber: number,
  senderNumber: number,
  beforePosition: number,
  limit: number,
  sent: { readonly sinceTs: number | null; readonly untilTs: number | null } = { sinceTs: null, untilTs: null },
): Promise<{ readonly eventId: EventId; readonly position: number }[]> {
  const { rows } = await sql<{ event_id: string; position: number }>`SELECT e.event_id, e.position
    FROM events e JOIN event_types y USING (type_number)
    WHERE e.room_number = ${roomNumber} AND e.sender_number = ${senderNumber} AND e.state_key_number IS NULL
      AND e.position < ${beforePosition} AND e.flags & ${sql.lit(eventFlags.redacted)} = 0
      AND y.type <> 'm.room.redaction'
      AND (${sent.sinceTs}::bigint IS NULL OR e.origin_server_ts >= ${sent.sinceTs})
      AND (${sent.untilTs}::bigint IS NULL OR e.origin_server_ts <= ${sent.untilTs})
    ORDER BY e.position DESC LIMIT ${limit}`.execute(reader)
  // As above.
  return rows.map(row => ({ eventId: row.event_id as EventId, position: row.position }))
}

/** Takes a room out of everything by which it is found: from now on nobody is in it and it has no name. */
export async function closeRoom(tx: Tx, roomNumber: number): Promise<void> {
  for (const table of ['room_aliases', 'memberships', 'current_state'] as const) {
    await tx.deleteFrom(table).where('room_number', '=', roomNumber).execute()
  }
  await tx.updateTable('rooms').set({ is_public: false }).where('room_number', '=', roomNumber).execute()
}

/** Deletes up to `limit` events of a room that is closed, with what points to them. Returns how many there were. */
export async function deleteRoomEvents(tx: Tx, roomNumber: number, limit: number): Promise<number> {
  const { rows } = await sql<{ event_number: number; event_id: string; position: number | null }>`
    SELECT event_number, event_id, position FROM events WHERE room_number = ${roomNumber} LIMIT ${limit}`.execute(tx)
  if (rows.length === 0) return 0
  const numbers = rows.map(row => row.event_number)
  const positions = rows.flatMap(row => (row.position !== null && row.position > 0 ? [row.position] : []))
  // Receipts come before events, as the log's own transactions lock them.
  await sql`DELETE FROM receipts WHERE event_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM transactions WHERE event_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM event_relations WHERE parent_id = ANY(${rows.map(row => row.event_id)})`.execute(tx)
  await sql`DELETE FROM log WHERE position = ANY(${positions}) AND kind = ${sql.lit(logKinds.event)}`.execute(tx)
  await killSeals(tx, numbers, -1)
  await sql`DELETE FROM events WHERE event_number = ANY(${numbers})`.execute(tx)
  return rows.length
}

/** Deletes a room that has no events any more, with whatever else is of it. */
export async function deleteRoom(tx: Tx, roomNumber: number): Promise<void> {
  for (const table of ['account_data', 'state_snapshots', 'log', 'rooms'] as const) {
    await tx.deleteFrom(table).where('room_number', '=', roomNumber).execute()
  }
}
