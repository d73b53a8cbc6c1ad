import { type Context } from '../context.ts'
import { forbidden } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { isBlocked } from '../storage/blocked-rooms.ts'

/** Throws M_FORBIDDEN for a room that the administrators have closed to everybody of this server. */
export async function refuseBlocked(ctx: Context, roomId: RoomId): Promise<void> {
  if (await isBlocked(ctx.db.kysely, roomId)) throw forbidden('This room has been blocked on this server')
}
