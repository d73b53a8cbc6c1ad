import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { addState } from './add-state.ts'
import { append } from './append.ts'
import { memberContent, profileContent } from './member-content.ts'

/** How many rooms are told at once. */
const atOnce = 10

/**
 * Tells every room that a user is in of their new display name or avatar: "a `m.room.member` event … to every room the
 * user is currently joined to". A room where they have that name already gets no event.
 * https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information
 */
export async function propagateProfile(ctx: Context, userId: UserId): Promise<void> {
  const userNumber = await ctx.numbers.knownUser(userId)
  if (userNumber === null) return
  const rooms = await joinedRooms(ctx.db.kysely, userNumber)
  for (let start = 0; start < rooms.length; start += atOnce) {
    await Promise.all(
      rooms.slice(start, start + atOnce).map(({ roomId }) =>
        append(ctx, roomId, async room => {
          if (room.head.membership(userId) !== 'join') return
          // Read while the room is ours: of two changes at once, whichever comes last to a room tells it of both.
          const content = memberContent('join', undefined, await profileContent(ctx, userId))
          await addState(room, { sender: userId, type: 'm.room.member', stateKey: userId, content })
        }).catch(skipRefusal),
      ),
    )
  }
}

/** A room that refuses keeps the old name; that is no reason to keep the new one from the others. */
function skipRefusal(error: unknown): void {
  if (!(error instanceof MatrixError)) throw error
}
