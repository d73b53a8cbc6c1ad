import { type Context } from '../context.ts'
import { notInRoom } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor } from './actor.ts'
import { append } from './append.ts'
import { roomHead } from './head.ts'
import { memberContent } from './member-content.ts'
import { isResident } from './residence.ts'

/**
 * Lets a user leave a room, reject an invitation or take back a knock. Nothing happens for one who has left already.
 * Throws M_FORBIDDEN, in the same words for an unknown room and one that the user has nothing to do with.
 * https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms
 */
export async function leave(
  ctx: Context,
  actor: Pick<Actor, 'userId'>,
  roomId: RoomId,
  options: { readonly reason?: string | undefined; readonly content?: JsonObject } = {},
): Promise<void> {
  const { userId } = actor
  const head = await roomHead(ctx, roomId)
  if (ctx.remote.enabled && (!head || !isResident(ctx, head))) {
    await ctx.remote.leave(userId, roomId)
    return
  }
  if (!head) throw notInRoom()
  await append(ctx, roomId, async room => {
    const membership = room.head.membership(userId)
    if (membership === 'leave' && room.head.hasMember(userId)) return
    if (membership === 'leave' || membership === 'ban') throw notInRoom()
    await room.add({
      sender: userId,
      type: 'm.room.member',
      stateKey: userId,
      content: memberContent('leave', options.reason, options.content),
    })
  })
}
