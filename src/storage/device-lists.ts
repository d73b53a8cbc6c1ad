import { type Reader, statement } from './database.ts'

const changedSharing = statement<[number, number], { user_number: number }>(
  'device_lists_changed',
  `SELECT user_number FROM device_list_changes WHERE user_number = $1 AND position > $2
   UNION ALL
   SELECT d.user_number FROM device_list_changes d
   WHERE d.position > $2 AND d.user_number <> $1 AND d.user_number IN (
     SELECT theirs.user_number FROM memberships mine JOIN memberships theirs USING (room_number)
     WHERE mine.user_number = $1 AND mine.membership = 'join' AND theirs.membership = 'join')`,
)

/**
 * Those whose devices or keys changed after a position and who are joined to a room with the user now, the user
 * included. Only the last change of each is on record, so there is no upper end.
 */
export async function changedListsSharedWith(reader: Reader, userNumber: number, after: number): Promise<number[]> {
  return (await changedSharing.run(reader, [userNumber, after])).map(row => row.user_number)
}

const sharing = statement<[number, readonly number[]], { user_number: number }>(
  'device_lists_sharing',
  `SELECT wanted.user_number FROM unnest($2::integer[]) AS wanted (user_number) WHERE EXISTS (
     SELECT FROM memberships mine JOIN memberships theirs USING (room_number)
     WHERE mine.user_number = $1 AND mine.membership = 'join'
       AND theirs.user_number = wanted.user_number AND theirs.membership = 'join')`,
)

/** Those of the users who are joined to a room with the user now. */
export async function usersSharingRoom(
  reader: Reader,
  userNumber: number,
  others: readonly number[],
): Promise<ReadonlySet<number>> {
  if (others.length === 0) return new Set()
  return new Set((await sharing.run(reader, [userNumber, others])).map(row => row.user_number))
}

const joinedAmong = statement<[number, readonly number[]], { room_number: number }>(
  'device_lists_joined_among',
  `SELECT room_number FROM memberships WHERE user_number = $1 AND room_number = ANY($2) AND membership = 'join'`,
)

/** Those of the rooms that the user is joined to now. */
export async function roomsJoinedAmong(
  reader: Reader,
  userNumber: number,
  roomNumbers: readonly number[],
): Promise<ReadonlySet<number>> {
  if (roomNumbers.length === 0) return new Set()
  return new Set((await joinedAmong.run(reader, [userNumber, roomNumbers])).map(row => row.room_number))
}

/** Somebody's present membership of a room. */
export interface PresentMember {
  readonly roomNumber: number
  readonly userNumber: number
  readonly membership: 'join' | 'invite'
}

const presentIn = statement<[readonly number[]], { room_number: number; user_number: number; membership: string }>(
  'device_lists_present_in',
  `SELECT room_number, user_number, membership FROM memberships
   WHERE room_number = ANY($1) AND membership IN ('join', 'invite')`,
)

/** Everybody who is joined or invited to one of the rooms now. */
export async function membersPresentIn(reader: Reader, roomNumbers: readonly number[]): Promise<PresentMember[]> {
  if (roomNumbers.length === 0) return []
  return (await presentIn.run(reader, [roomNumbers])).map(row => ({
    roomNumber: row.room_number,
    userNumber: row.user_number,
    membership: row.membership === 'join' ? 'join' : 'invite',
  }))
}

/** How a member of a room stood at one position, and how they stand now. */
export interface MemberChange {
  readonly roomNumber: number
  readonly userNumber: number
  /** The member event that stood at the earlier position; `null` if there was none, or it is swept. */
  readonly beforeNumber: number | null
  readonly membership: string
}

const memberChanges = statement<
  [number, number, number],
  { room_number: number; user_number: number; before: number | null; membership: string }
>(
  'device_lists_member_changes',
  `SELECT changed.room_number, m.user_number, m.membership,
     (SELECT p.event_number FROM state_changes p WHERE p.room_number = changed.room_number AND p.type_number = $3
       AND p.state_key_number = changed.state_key_number AND p.position <= $2 ORDER BY p.position DESC LIMIT 1) AS before
   FROM (SELECT DISTINCT c.room_number, c.state_key_number FROM memberships mine JOIN state_changes c USING (room_number)
     WHERE mine.user_number = $1 AND (mine.membership = 'join' OR mine.position > $2)
       AND c.position > $2 AND c.type_number = $3) AS changed
   JOIN state_keys k USING (state_key_number) JOIN users u ON u.user_id = k.state_key
   JOIN memberships m ON m.room_number = changed.room_number AND m.user_number = u.user_number`,
)

/**
 * Who had a member event after a position, in the rooms that the user is joined to now or whose member the user became or
 * ceased to be after it. `memberTypeNumber` is that of m.room.member.
 */
export async function memberChangesAfter(
  reader: Reader,
  userNumber: number,
  after: number,
  memberTypeNumber: number,
): Promise<MemberChange[]> {
  const rows = await memberChanges.run(reader, [userNumber, after, memberTypeNumber])
  return rows.map(row => ({
    roomNumber: row.room_number,
    userNumber: row.user_number,
    beforeNumber: row.before,
    membership: row.membership,
  }))
}
