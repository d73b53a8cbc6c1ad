import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'

const findContent = statement<[number, number, string], { content: string }>(
  'account_data_content',
  'SELECT content FROM account_data WHERE user_number = $1 AND room_number = $2 AND type = $3',
)

/** `roomNumber` of account data that belongs to no room. */
export const globalRoomNumber = 0

/** The JSON text of one item; `null` if there is none. */
export async function accountDataOf(
  reader: Reader,
  userNumber: number,
  roomNumber: number,
  type: string,
): Promise<string | null> {
  return (await findContent.first(reader, [userNumber, roomNumber, type]))?.content ?? null
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
