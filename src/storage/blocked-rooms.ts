import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'

const selectBlocked = statement<[string], { is_passing: boolean }>(
  'blocked_rooms_find',
  'SELECT is_passing FROM blocked_rooms WHERE room_id = $1',
)

/** True for a room that nobody here may enter. */
export async function isBlocked(reader: Reader, roomId: RoomId): Promise<boolean> {
  return (await selectBlocked.first(reader, [roomId])) !== null
}
