import { type Context } from '../context.ts'
import { forbidden } from '../errors.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { appendAsMember } from './as-member.ts'
import { memberContent } from './member-content.ts'

/**
 * Lifts a ban; the user may then be invited or join again. Throws M_FORBIDDEN if the caller may not, or if the target is
 * not banned. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban
 */
export async function unban(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  target: UserId,
  options: { readonly reason?: string | undefined; readonly content?: JsonObject } = {},
): Promise<void> {
  refuseSuspended(actor)
  await appendAsMember(ctx, actor, roomId, async room => {
    // To the rules a leave is a leave: without this, an unban could kick.
    if (room.head.membership(target) !== 'ban') throw forbidden('That user is not banned')
    await room.add({
      sender: actor.userId,
      type: 'm.room.member',
      stateKey: target,
      content: memberContent('leave', options.reason, options.content),
    })
  })
}
