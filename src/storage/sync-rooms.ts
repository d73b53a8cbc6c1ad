import { type Sealer } from '../privacy/seal.ts'
import { type Reader, statement } from './database.ts'
import { accountDataName } from './account-data.ts'
import { eventsByNumber } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

const ownMembers = statement<
  [readonly number[], string, number, number],
  { room_number: number; position: number; event_number: number | null }
>(
  'sync_own_members',
  `SELECT c.room_number, c.position, c.event_number FROM state_changes c
   JOIN event_types y ON y.type_number = c.type_number AND y.type = 'm.room.member'
   JOIN state_keys k ON k.state_key_number = c.state_key_number AND k.state_key = $2
   WHERE c.room_number = ANY($1) AND c.position > $3 AND c.position <= $4 ORDER BY c.position`,
)

/** A change of a user's member event in a room's state. */
export interface MemberChange {
  readonly roomNumber: number
  readonly position: number
  /** `null` if the event left the state. */
  readonly event: StoredEvent | null
}

/** Every change of one user's own member event in the rooms, after a position up to another, oldest first. */
export async function ownMemberChanges(
  reader: Reader,
  numbers: Numbers,
  roomNumbers: readonly number[],
  userId: string,
  span: { readonly after: number; readonly upTo: number },
): Promise<MemberChange[]> {
  if (roomNumbers.length === 0) return []
  const rows = await ownMembers.run(reader, [roomNumbers, userId, span.after, span.upTo])
  const wanted = rows.flatMap(row => row.event_number ?? [])
  const events = new Map((await eventsByNumber(reader, numbers, wanted)).map(event => [event.eventNumber, event]))
  return rows.map(row => ({
    roomNumber: row.room_number,
    position: row.position,
    event: row.event_number === null ? null : (events.get(row.event_number) ?? null),
  }))
}

const forgotten = statement<[number, readonly number[]], { room_number: number }>(
  'sync_forgotten',
  'SELECT room_number FROM memberships WHERE user_number = $1 AND room_number = ANY($2) AND is_forgotten',
)

/** Those of the rooms that the user has forgotten. */
export async function forgottenAmong(
  reader: Reader,
  userNumber: number,
  roomNumbers: readonly number[],
): Promise<Set<number>> {
  if (roomNumbers.length === 0) return new Set()
  return new Set((await forgotten.run(reader, [userNumber, roomNumbers])).map(row => row.room_number))
}

const memberCounts = statement<[readonly number[]], { room_number: number; joined: number; invited: number }>(
  'sync_member_counts',
  `SELECT room_number, count(*) FILTER (WHERE membership = 'join') AS joined,
     count(*) FILTER (WHERE membership = 'invite') AS invited
   FROM memberships WHERE room_number = ANY($1) GROUP BY room_number`,
)

/** How many users have joined and are invited, by room number. */
export async function memberCountsOf(
  reader: Reader,
  roomNumbers: readonly number[],
): Promise<Map<number, { readonly joined: number; readonly invited: number }>> {
  if (roomNumbers.length === 0) return new Map()
  const rows = await memberCounts.run(reader, [roomNumbers])
  return new Map(rows.map(row => [row.room_number, { joined: row.joined, invited: row.invited }]))
}

const heroes = statement<
  [readonly number[], number],
  { room_number: number; user_number: number; is_present: boolean }
>(
  'sync_heroes',
  `SELECT w.room_number, h.user_number, h.is_present FROM unnest($1::integer[]) AS w (room_number) CROSS JOIN LATERAL (
     SELECT m.user_number, m.position, m.membership IN ('join', 'invite') AS is_present,
       row_number() OVER (PARTITION BY m.membership IN ('join', 'invite') ORDER BY m.position) AS rank
     FROM memberships m WHERE m.room_number = w.room_number AND m.membership <> 'knock') h
   WHERE h.rank <= $2 ORDER BY w.room_number, h.position`,
)

/** The users after whom a room without a name may be called, as numbers, in the order of the log. */
export interface Heroes {
  /** Those who have joined or are invited. */
  readonly present: readonly number[]
  /** Those who have left or are banned. */
  readonly past: readonly number[]
}

/** The first `limit` of each sort, by room number. */
export async function heroesOf(
  reader: Reader,
  roomNumbers: readonly number[],
  limit: number,
): Promise<Map<number, Heroes>> {
  const found = new Map<number, { present: number[]; past: number[] }>()
  if (roomNumbers.length === 0) return found
  for (const row of await heroes.run(reader, [roomNumbers, limit])) {
    let ofRoom = found.get(row.room_number)
    if (!ofRoom) found.set(row.room_number, (ofRoom = { present: [], past: [] }))
    ofRoom[row.is_present ? 'present' : 'past'].push(row.user_number)
  }
  return found
}

const accountDataSince = statement<
  [number, number, number],
  { room_number: number; type: string; content: Buffer; position: number }
>(
  'sync_account_data',
  `SELECT room_number, type, content, position FROM account_data
   WHERE user_number = $1 AND position > $2 AND position <= $3 ORDER BY position`,
)

/** An item of account data; `roomNumber` is 0 for global ones, `content` is JSON text. */
export interface AccountDataItem {
  readonly roomNumber: number
  readonly type: string
  readonly content: string
}

function opened(
  sealer: Sealer,
  userNumber: number,
  rows: readonly { room_number: number; type: string; content: Buffer }[],
): AccountDataItem[] {
  return rows.flatMap(({ room_number: roomNumber, type, content: sealed }) => {
    const content = sealer.open(sealed, accountDataName(userNumber, roomNumber, type))
    return content === null ? [] : [{ roomNumber, type, content }]
  })
}

/** The user's account data that changed after a position, up to another. */
export async function changedAccountData(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  span: { readonly after: number; readonly upTo: number },
): Promise<AccountDataItem[]> {
  const rows = await accountDataSince.run(reader, [userNumber, span.after, span.upTo])
  return opened(sealer, userNumber, rows)
}

const roomAccountData = statement<
  [number, readonly number[], number],
  { room_number: number; type: string; content: Buffer }
>(
  'sync_room_account_data',
  `SELECT room_number, type, content FROM account_data
   WHERE user_number = $1 AND room_number = ANY($2) AND position <= $3 ORDER BY position`,
)

/** All of the user's account data of the rooms, up to a position. */
export async function accountDataIn(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  roomNumbers: readonly number[],
  upTo: number,
): Promise<AccountDataItem[]> {
  if (roomNumbers.length === 0) return []
  const rows = await roomAccountData.run(reader, [userNumber, roomNumbers, upTo])
  return opened(sealer, userNumber, rows)
}

const lastChanges = statement<[readonly number[], number, number], { room_number: number }>(
  'sync_touched_rooms',
  `SELECT w.room_number FROM unnest($1::integer[]) AS w (room_number)
   WHERE EXISTS (SELECT FROM events e WHERE e.room_number = w.room_number AND e.position > $2 AND e.position <= $3)
      OR EXISTS (SELECT FROM receipts r WHERE r.room_number = w.room_number AND r.position > $2 AND r.position <= $3)
      OR EXISTS (SELECT FROM state_changes s WHERE s.room_number = w.room_number AND s.position > $2 AND s.position <= $3)`,
)

/** Those of the rooms in which something happened after a position, up to another. */
export async function touchedAmong(
  reader: Reader,
  roomNumbers: readonly number[],
  span: { readonly after: number; readonly upTo: number },
): Promise<Set<number>> {
  if (roomNumbers.length === 0) return new Set()
  return new Set((await lastChanges.run(reader, [roomNumbers, span.after, span.upTo])).map(row => row.room_number))
}
