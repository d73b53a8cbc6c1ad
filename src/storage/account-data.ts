import { type Sealer } from '../privacy/seal.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'

const findContent = statement<[number, number, string], { content: Buffer }>(
  'account_data_content',
  'SELECT content FROM account_data WHERE user_number = $1 AND room_number = $2 AND type = $3',
)

/** `roomNumber` of account data that belongs to no room. */
export const globalRoomNumber = 0

/** What the content of an item is sealed under. */
export const accountDataName = (userNumber: number, roomNumber: number, type: string): string =>
  `account_data ${userNumber} ${roomNumber} ${type}`

/** The JSON text of one item; `null` if there is none. */
export async function accountDataOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  roomNumber: number,
  type: string,
): Promise<string | null> {
  const row = await findContent.first(reader, [userNumber, roomNumber, type])
  return row && sealer.open(row.content, accountDataName(userNumber, roomNumber, type))
}

const findRoom = statement<[number, string], { room_number: number }>(
  'room_of_member',
  `SELECT r.room_number FROM rooms r JOIN memberships m USING (room_number)
   WHERE m.user_number = $1 AND r.room_id = $2`,
)

/** The number of a room that the user is or was in, or is invited to; `null` for any other, known or not. */
export async function roomOfMember(reader: Reader, userNumber: number, roomId: RoomId): Promise<number | null> {
  return (await findRoom.first(reader, [userNumber, roomId]))?.room_number ?? null
}

const findMarker = statement<[number, number], { event_number: number | null; position: number | null }>(
  'account_data_marker',
  `SELECT a.event_number, e.position FROM account_data a LEFT JOIN events e USING (event_number)
   WHERE a.user_number = $1 AND a.room_number = $2 AND a.type = 'm.fully_read'`,
)

/** The log position of the event that the user's read marker stands on; `null` where there is none, or its event is gone. */
export async function markerPosition(reader: Reader, userNumber: number, roomNumber: number): Promise<number | null> {
  return (await findMarker.first(reader, [userNumber, roomNumber]))?.position ?? null
}
