import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { forgetMembership } from '../storage/memberships.ts'
import { type Actor } from './actor.ts'

/**
 * Lets a user forget a room that they have left or are banned from: its history is closed to them and it is not in any
 * /sync, until they join, knock or are invited again. Throws M_UNKNOWN (400) for any other room, known or not.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget
 */
export async function forget(ctx: Context, actor: Pick<Actor, 'userNumber'>, roomId: RoomId): Promise<void> {
  const room = await ctx.numbers.room(roomId)
  const isForgotten =
    room !== null &&
    (await ctx.log.transact(async (tx, announce) => {
      const done = await forgetMembership(tx, room.roomNumber, actor.userNumber)
      // Whoever remembers who may look into the room asks again.
      if (done) announce({ kind: 'room', roomId })
      return done
    }))
  if (!isForgotten) throw new MatrixError('M_UNKNOWN', 'You have not left that room')
}
