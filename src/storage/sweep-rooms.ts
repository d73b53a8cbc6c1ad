import { sql } from 'kysely'
import { type DeviceId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { closeRoom, deleteRoomEvents } from './purge.ts'
import { type SweptRoom } from './sweep.ts'

/** How many events one statement deletes. */
const eventsAtOnce = 500

/** Rooms `r` that no user of this server is in, is invited to or knocks at, and that some were in. */
const isLeft = `EXISTS (SELECT FROM memberships m JOIN users u USING (user_number) WHERE m.room_number = r.room_number AND u.is_local)
  AND NOT EXISTS (SELECT FROM memberships m JOIN users u USING (user_number)
    WHERE m.room_number = r.room_number AND u.is_local AND m.membership IN ('join', 'invite', 'knock'))`

/** …and that everybody has forgotten. */
const isForgotten = `${isLeft} AND NOT EXISTS (SELECT FROM memberships m JOIN users u USING (user_number)
    WHERE m.room_number = r.room_number AND u.is_local AND NOT m.is_forgotten)`

/** …or that the last of them left before $2. */
const isLongLeft = `${isLeft} AND NOT EXISTS (SELECT FROM memberships m JOIN users u USING (user_number)
    JOIN events e USING (event_number)
    WHERE m.room_number = r.room_number AND u.is_local AND NOT m.is_forgotten AND e.age_ts >= $2)`

const forgotten = statement<[number], { room_number: number; room_id: string }>(
  'sweep_forgotten_rooms',
  `SELECT r.room_number, r.room_id FROM rooms r
   WHERE r.room_number IN (SELECT f.room_number FROM memberships f WHERE f.is_forgotten) AND ${isForgotten} LIMIT $1`,
)
const longLeft = statement<[number, number], { room_number: number; room_id: string }>(
  'sweep_left_rooms',
  `SELECT r.room_number, r.room_id FROM rooms r WHERE ${isLongLeft} LIMIT $1`,
)

/**
 * At most `limit` rooms that every local user has left and forgotten; those that the last of them left before a time too,
 * where there is one.
 */
export async function abandonedRooms(reader: Reader, leftBeforeTs: number | null, limit: number): Promise<SweptRoom[]> {
  const rows =
    leftBeforeTs === null ? await forgotten.run(reader, [limit]) : await longLeft.run(reader, [limit, leftBeforeTs])
  // The column holds nothing but room IDs that were parsed before they were inserted.
  return rows.map(row => ({ roomNumber: row.room_number, roomId: row.room_id as RoomId }))
}

/**
 * Deletes a room with everything in it, unless somebody has come back; false then. Its messages should be gone already: what
 * is left is deleted in this one transaction.
 */
export async function deleteAbandonedRoom(tx: Tx, { roomNumber }: SweptRoom): Promise<boolean> {
  // Whoever joins moves the head of the room, and waits for this or is seen by it.
  await sql`SELECT FROM rooms WHERE room_number = ${roomNumber} FOR UPDATE`.execute(tx)
  const { rows } = await sql`SELECT FROM rooms r WHERE r.room_number = ${roomNumber} AND ${sql.raw(isLeft)}`.execute(tx)
  if (rows.length === 0) return false
  await sql`DELETE FROM account_data WHERE room_number = ${roomNumber}
    AND user_number IN (SELECT user_number FROM memberships WHERE room_number = ${roomNumber})`.execute(tx)
  await closeRoom(tx, roomNumber)
  while ((await deleteRoomEvents(tx, roomNumber, eventsAtOnce)) > 0);
  await sql`DELETE FROM rooms WHERE room_number = ${roomNumber}`.execute(tx)
  return true
}

/** An invitation that waits. */
export interface IdleInvite {
  readonly userId: UserId
  readonly roomId: RoomId
  readonly eventNumber: number
}

const idle = statement<[number, number, number], { user_id: string; room_id: string; event_number: number }>(
  'sweep_idle_invites',
  `SELECT u.user_id, r.room_id, m.event_number FROM memberships m JOIN users u USING (user_number)
   JOIN rooms r USING (room_number) JOIN events e ON e.event_number = m.event_number
   WHERE m.membership = 'invite' AND m.event_number > $1 AND u.is_local AND e.age_ts < $2
   ORDER BY m.event_number LIMIT $3`,
)

/** At most `limit` invitations of local users that were made before a time, those after an event number, in that order. */
export async function idleInvites(
  reader: Reader,
  after: number,
  madeBeforeTs: number,
  limit: number,
): Promise<IdleInvite[]> {
  const rows = await idle.run(reader, [after, madeBeforeTs, limit])
  // The columns hold nothing but identifiers that were parsed before they were inserted.
  return rows.map(row => ({
    userId: row.user_id as UserId,
    roomId: row.room_id as RoomId,
    eventNumber: row.event_number,
  }))
}

const stale = statement<[string, number], { user_number: number; user_id: string; device_id: string }>(
  'sweep_stale_devices',
  `SELECT d.user_number, u.user_id, d.device_id FROM devices d JOIN users u USING (user_number)
   WHERE d.last_seen_on < $1::date ORDER BY d.last_seen_on LIMIT $2`,
)

/** A device that has not been seen for long. */
export interface StaleDevice {
  readonly userNumber: number
  readonly userId: UserId
  readonly deviceId: DeviceId
}

/** At most `limit` devices that were last seen before a date (YYYY-MM-DD). */
export async function staleDevices(reader: Reader, before: string, limit: number): Promise<StaleDevice[]> {
  const rows = await stale.run(reader, [before, limit])
  // As in `idleInvites`; a device ID is any string.
  return rows.map(row => ({
    userNumber: row.user_number,
    userId: row.user_id as UserId,
    deviceId: row.device_id as DeviceId,
  }))
}
