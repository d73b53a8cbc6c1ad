import { type Context } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type RoomId, type ServerName } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor, refuseSuspended, takeLimit } from './actor.ts'
import { addState } from './add-state.ts'
import { append } from './append.ts'
import { refuseBlocked } from './blocked.ts'
import { roomHead } from './head.ts'
import { memberContent, profileContent } from './member-content.ts'
import { isResident } from './residence.ts'

/** The one refusal: it does not say whether the room is there. */
const closedRoom = () => forbidden('You cannot knock on that room')

/**
 * Asks for an invitation. Throws M_FORBIDDEN, in the same words for an unknown room and one that takes no knock of the
 * user's. https://spec.matrix.org/v1.19/client-server-api/#knocking-on-rooms
 */
export async function knock(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  options: {
    readonly reason?: string | undefined
    readonly via?: readonly ServerName[]
    readonly content?: JsonObject
  } = {},
): Promise<void> {
  refuseSuspended(actor)
  const { userId } = actor
  await refuseBlocked(ctx, roomId)
  takeLimit(ctx, 'joinRoom', roomId)
  const content = memberContent('knock', options.reason, { ...(await profileContent(ctx, userId)), ...options.content })
  const head = await roomHead(ctx, roomId)
  if (ctx.remote.enabled && (!head || !isResident(ctx, head))) {
    takeLimit(ctx, 'joinRemote', userId)
    await ctx.remote.knock(userId, roomId, options.via ?? [], content)
    return
  }
  if (!head) throw closedRoom()
  await append(ctx, roomId, async room => {
    try {
      await addState(room, { sender: userId, type: 'm.room.member', stateKey: userId, content })
    } catch (error) {
      throw error instanceof MatrixError && error.errcode === 'M_FORBIDDEN' ? closedRoom() : error
    }
  })
}
