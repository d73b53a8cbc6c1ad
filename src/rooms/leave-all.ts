import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { membershipsOf } from '../storage/memberships.ts'
import { leave } from './leave.ts'

/** How many rooms are left at once. */
const atOnce = 10

/**
 * Lets a user leave every room, reject every invitation and take back every knock: their account is being closed. A room
 * that refuses (another server has to be asked and does not answer) does not keep the others from being left; asking
 * again tries again.
 */
export async function leaveAllRooms(ctx: Context, userId: UserId): Promise<void> {
  const userNumber = await ctx.numbers.knownUser(userId)
  if (userNumber === null) return
  const rooms = (await membershipsOf(ctx.db.kysely, userNumber)).filter(({ membership }) =>
    ['join', 'invite', 'knock'].includes(membership),
  )
  for (let start = 0; start < rooms.length; start += atOnce) {
    await Promise.all(
      rooms.slice(start, start + atOnce).map(async ({ roomId }) => {
        try {
          await leave(ctx, { userId }, roomId)
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error
        }
      }),
    )
  }
}
