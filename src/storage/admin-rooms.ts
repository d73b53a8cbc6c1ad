import { sql } from 'kysely'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'

/** What the database counts of a room. */
export interface CountedRoom {
  readonly roomNumber: number
  readonly roomId: RoomId
  readonly version: string
  readonly isPublic: boolean
  readonly joinedMembers: number
  readonly joinedLocalMembers: number
  readonly stateEvents: number
}

interface CountedRow {
  room_number: number
  room_id: string
  version: string
  is_public: boolean
  joined: number
  joined_local: number
  state_events: number
}

/** Up to `limit` rooms with a number above `after`, in the order of their numbers, counted. `only`: of those rooms alone. */
export async function countedRooms(
  reader: Reader,
  after: number,
  limit: number,
  only: readonly RoomId[] | null = null,
): Promise<CountedRoom[]> {
  const { rows } = await sql<CountedRow>`SELECT r.room_number, r.room_id, r.version, r.is_public,
      coalesce(m.joined, 0) AS joined, coalesce(m.joined_local, 0) AS joined_local,
      (SELECT count(*) FROM current_state c WHERE c.room_number = r.room_number) AS state_events
    FROM rooms r
    LEFT JOIN LATERAL (SELECT count(*) AS joined, count(*) FILTER (WHERE u.is_local) AS joined_local
      FROM memberships JOIN users u USING (user_number)
      WHERE memberships.room_number = r.room_number AND membership = 'join') m ON true
    WHERE r.room_number > ${after} AND (${only}::text[] IS NULL OR r.room_id = ANY(${only}::text[]))
    ORDER BY r.room_number LIMIT ${limit}`.execute(reader)
  return rows.map(row => ({
    roomNumber: row.room_number,
    // The column holds nothing but room IDs that were parsed before they were inserted.
    roomId: row.room_id as RoomId,
    version: row.version,
    isPublic: row.is_public,
    joinedMembers: row.joined,
    joinedLocalMembers: row.joined_local,
    stateEvents: row.state_events,
  }))
}

/** How many rooms there are. */
export async function countRooms(reader: Reader): Promise<number> {
  const row = await reader
    .selectFrom('rooms')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}

/** How many events of a room there are. */
export async function countEvents(reader: Reader, roomNumber: number): Promise<number> {
  const row = await reader
    .selectFrom('events')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('room_number', '=', roomNumber)
    .executeTakeFirstOrThrow()
  return row.count
}

/** How many devices those users of this server have who have joined the room. */
export async function countJoinedDevices(reader: Reader, roomNumber: number): Promise<number> {
  const row = await reader
    .selectFrom('memberships')
    .innerJoin('devices', 'devices.user_number', 'memberships.user_number')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('room_number', '=', roomNumber)
    .where('membership', '=', 'join')
    .executeTakeFirstOrThrow()
  return row.count
}

/** The users of this server with one of the memberships of a room, in the order of their numbers: those after a number. */
export async function localMembers(
  reader: Reader,
  roomNumber: number,
  memberships: readonly ('join' | 'invite' | 'knock')[],
  after: number,
  limit: number,
): Promise<{ readonly userId: UserId; readonly userNumber: number }[]> {
  const rows = await reader
    .selectFrom('memberships')
    .innerJoin('users', 'users.user_number', 'memberships.user_number')
    .select(['users.user_id', 'users.user_number'])
    .where('room_number', '=', roomNumber)
    .where('membership', 'in', memberships)
    .where('users.is_local', '=', true)
    .where('users.user_number', '>', after)
    .orderBy('users.user_number')
    .limit(limit)
    .execute()
  // The column holds nothing but user IDs that were parsed before they were inserted.
  return rows.map(row => ({ userId: row.user_id as UserId, userNumber: row.user_number }))
}

/** Who blocked a room; `null` if nobody did. A room that is only being deleted is not told of. */
export async function blockerOf(reader: Reader, roomId: RoomId): Promise<UserId | null> {
  const row = await reader
    .selectFrom('blocked_rooms')
    .innerJoin('users', 'users.user_number', 'blocked_rooms.user_number')
    .select('user_id')
    .where('room_id', '=', roomId)
    .where('is_passing', '=', false)
    .executeTakeFirst()
  // As above.
  return row ? (row.user_id as UserId) : null
}

/** Blocks a room for good, or while it is being deleted; one that is blocked for good stays so. */
export async function blockRoom(tx: Tx, roomId: RoomId, userNumber: number | null, isPassing: boolean): Promise<void> {
  await tx
    .insertInto('blocked_rooms')
    .values({ room_id: roomId, user_number: userNumber, is_passing: isPassing })
    .onConflict(conflict =>
      isPassing ? conflict.doNothing() : conflict.column('room_id').doUpdateSet({ is_passing: false }),
    )
    .execute()
}

/** Lets a room go. With `onlyPassing`, only if it was blocked while it was being deleted. */
export async function unblockRoom(tx: Tx, roomId: RoomId, onlyPassing: boolean): Promise<void> {
  await tx
    .deleteFrom('blocked_rooms')
    .where('room_id', '=', roomId)
    .$if(onlyPassing, query => query.where('is_passing', '=', true))
    .execute()
}
