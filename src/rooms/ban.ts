import { type Context } from '../context.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { addState } from './add-state.ts'
import { appendAsMember } from './as-member.ts'
import { memberContent } from './member-content.ts'

/**
 * Bans a user, who is removed if they are in the room. Throws M_FORBIDDEN if the caller may not.
 * https://spec.matrix.org/v1.19/client-server-api/#banning-users-in-a-room
 */
export async function ban(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  target: UserId,
  options: { readonly reason?: string | undefined; readonly content?: JsonObject } = {},
): Promise<void> {
  refuseSuspended(actor)
  const content = memberContent('ban', options.reason, options.content)
  await appendAsMember(ctx, actor, roomId, async room => {
    await addState(room, { sender: actor.userId, type: 'm.room.member', stateKey: target, content })
  })
}
