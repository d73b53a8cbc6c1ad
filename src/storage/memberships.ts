import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement, type Tx } from './database.ts'

/** A user's present relation to a room. */
export interface MembershipRow {
  readonly roomId: RoomId
  readonly roomNumber: number
  readonly membership: 'join' | 'invite' | 'knock' | 'leave' | 'ban'
  /** The log position where it came about. */
  readonly position: number
  readonly isForgotten: boolean
  /** The member event. */
  readonly eventNumber: number
}

interface Row {
  room_id: string
  room_number: number
  membership: MembershipRow['membership']
  position: number
  is_forgotten: boolean
  event_number: number
}

function membershipOfRow(row: Row): MembershipRow {
  return {
    // The column holds nothing but room IDs that were parsed before they were inserted.
    roomId: row.room_id as RoomId,
    roomNumber: row.room_number,
    membership: row.membership,
    position: row.position,
    isForgotten: row.is_forgotten,
    eventNumber: row.event_number,
  }
}

const columns = `r.room_id, m.room_number, m.membership, m.position, m.is_forgotten, m.event_number`

const selectJoinedRooms = statement<[number], { room_id: string; room_number: number }>(
  'memberships_joined_rooms',
  `SELECT r.room_id, r.room_number FROM memberships m JOIN rooms r USING (room_number)
   WHERE m.user_number = $1 AND m.membership = 'join'`,
)

/** The rooms that the user has joined, in no particular order. */
export async function joinedRooms(
  reader: Reader,
  userNumber: number,
): Promise<{ readonly roomId: RoomId; readonly roomNumber: number }[]> {
  const rows = await selectJoinedRooms.run(reader, [userNumber])
  // As in `membershipOfRow`.
  return rows.map(row => ({ roomId: row.room_id as RoomId, roomNumber: row.room_number }))
}

const selectMemberships = statement<[number], Row>(
  'memberships_of_user',
  `SELECT ${columns} FROM memberships m JOIN rooms r USING (room_number) WHERE m.user_number = $1`,
)

/** Every room that the user has anything to do with, forgotten ones included, in no particular order. */
export async function membershipsOf(reader: Reader, userNumber: number): Promise<MembershipRow[]> {
  return (await selectMemberships.run(reader, [userNumber])).map(membershipOfRow)
}

const selectMembership = statement<[number, number], Row>(
  'memberships_one',
  `SELECT ${columns} FROM memberships m JOIN rooms r USING (room_number) WHERE m.room_number = $1 AND m.user_number = $2`,
)

/** The user's relation to one room; `null` if they never had one. */
export async function membershipOf(
  reader: Reader,
  roomNumber: number,
  userNumber: number,
): Promise<MembershipRow | null> {
  const row = await selectMembership.first(reader, [roomNumber, userNumber])
  return row && membershipOfRow(row)
}

const selectShared = statement<[number, number], { shared: boolean }>(
  'memberships_shared',
  `SELECT EXISTS (SELECT FROM memberships a JOIN memberships b USING (room_number)
     WHERE a.user_number = $1 AND b.user_number = $2 AND a.membership = 'join' AND b.membership = 'join') AS shared`,
)

/** True if there is a room that both users have joined. */
export async function shareRoom(reader: Reader, userNumber: number, otherNumber: number): Promise<boolean> {
  return (await selectShared.first(reader, [userNumber, otherNumber]))?.shared ?? false
}

const selectSeen = statement<[number, number], { seen: boolean }>(
  'memberships_seen',
  `SELECT EXISTS (SELECT FROM memberships a JOIN memberships b USING (room_number)
     WHERE a.user_number = $1 AND b.user_number = $2 AND a.membership = 'join' AND b.membership IN ('join', 'invite')) AS seen`,
)

/** True if the user has joined a room that the other has joined too or is invited to: there their member event is seen anyway. */
export async function seesMember(reader: Reader, userNumber: number, otherNumber: number): Promise<boolean> {
  return (await selectSeen.first(reader, [userNumber, otherNumber]))?.seen ?? false
}

const selectSharing = statement<[number, readonly number[]], { user_number: number }>(
  'memberships_sharing_among',
  `SELECT DISTINCT other.user_number FROM memberships mine JOIN memberships other USING (room_number)
   WHERE mine.user_number = $1 AND mine.membership = 'join'
     AND other.user_number = ANY($2) AND other.membership = 'join'`,
)

/** Those of the users (numbers) who have joined a room that the user has joined too. */
export async function sharingAmong(
  reader: Reader,
  userNumber: number,
  otherNumbers: readonly number[],
): Promise<Set<number>> {
  if (otherNumbers.length === 0) return new Set()
  const rows = await selectSharing.run(reader, [userNumber, otherNumbers])
  return new Set(rows.map(row => row.user_number))
}

const selectUsersSharing = statement<[number], { user_number: number }>(
  'memberships_users_sharing',
  `SELECT DISTINCT other.user_number FROM memberships mine JOIN memberships other USING (room_number)
   WHERE mine.user_number = $1 AND mine.membership = 'join' AND other.membership = 'join'
     AND other.user_number <> $1`,
)

/** The numbers of all users who have joined a room that the user has joined too, without the user. */
export async function usersSharingRooms(reader: Reader, userNumber: number): Promise<number[]> {
  return (await selectUsersSharing.run(reader, [userNumber])).map(row => row.user_number)
}

const selectJoinedMembers = statement<[number], { user_number: number }>(
  'memberships_joined_members',
  `SELECT user_number FROM memberships WHERE room_number = $1 AND membership = 'join'`,
)

/** The numbers of the users who have joined the room. */
export async function joinedMembers(reader: Reader, roomNumber: number): Promise<number[]> {
  return (await selectJoinedMembers.run(reader, [roomNumber])).map(row => row.user_number)
}

const selectJoinedGuests = statement<[number], { user_number: number }>(
  'memberships_joined_guests',
  `SELECT m.user_number FROM memberships m JOIN accounts a USING (user_number)
   WHERE m.room_number = $1 AND m.membership = 'join' AND a.is_guest`,
)

/** The numbers of this server's guests who have joined the room. */
export async function joinedGuests(reader: Reader, roomNumber: number): Promise<number[]> {
  return (await selectJoinedGuests.run(reader, [roomNumber])).map(row => row.user_number)
}

const selectMutual = statement<[number, number], { room_id: string }>(
  'memberships_mutual_rooms',
  `SELECT r.room_id FROM memberships a JOIN memberships b USING (room_number) JOIN rooms r USING (room_number)
   WHERE a.user_number = $1 AND b.user_number = $2 AND a.membership = 'join' AND b.membership = 'join'
   ORDER BY r.room_id`,
)

/** The rooms that both users have joined, by ID. */
export async function mutualRooms(reader: Reader, userNumber: number, otherNumber: number): Promise<RoomId[]> {
  const rows = await selectMutual.run(reader, [userNumber, otherNumber])
  // As in `membershipOfRow`.
  return rows.map(row => row.room_id as RoomId)
}

/** Lets the user forget a room that they have left or are banned from; false, and nothing is written, in any other case. */
export async function forgetMembership(tx: Tx, roomNumber: number, userNumber: number): Promise<boolean> {
  const result = await tx
    .updateTable('memberships')
    .set({ is_forgotten: true })
    .where('room_number', '=', roomNumber)
    .where('user_number', '=', userNumber)
    .where('membership', 'in', ['leave', 'ban'])
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}
