import { type Context } from '../context.ts'
import { forbidden } from '../errors.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { appendAsMember } from './as-member.ts'
import { memberContent } from './member-content.ts'

/**
 * Removes a user from a room; rescinds their invitation or rejects their knock. Throws M_FORBIDDEN if the caller may not,
 * or if the target is not in the room. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick
 */
export async function kick(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  target: UserId,
  options: { readonly reason?: string | undefined; readonly content?: JsonObject } = {},
): Promise<void> {
  refuseSuspended(actor)
  await appendAsMember(ctx, actor, roomId, async room => {
    const membership = room.head.membership(target)
    // The rules would let it pass, and a kick of one who is banned would be the end of the ban.
    if (membership === 'leave' || membership === 'ban') throw forbidden('That user is not in the room')
    await room.add({
      sender: actor.userId,
      type: 'm.room.member',
      stateKey: target,
      content: memberContent('leave', options.reason, options.content),
    })
  })
}
