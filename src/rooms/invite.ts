import { type Context, isLocal } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { accountDataOf, globalRoomNumber } from '../storage/account-data.ts'
import { type Actor, refuseSuspended, takeLimit } from './actor.ts'
import { addState } from './add-state.ts'
import { refuseBlocked } from './blocked.ts'
import { appendAsMember, headForMember } from './as-member.ts'
import { memberContent, profileContent } from './member-content.ts'

/**
 * Invites a user. Throws M_FORBIDDEN if the caller may not invite or the target is in the room or banned, M_INVITE_BLOCKED
 * if the target takes no invitations, M_LIMIT_EXCEEDED.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
 */
export async function invite(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  target: UserId,
  options: { readonly reason?: string | undefined; readonly content?: JsonObject } = {},
): Promise<void> {
  refuseSuspended(actor)
  await headForMember(ctx, actor, roomId)
  await refuseBlocked(ctx, roomId)
  await refuseUninvitable(ctx, target)
  takeLimit(ctx, 'inviteRoom', roomId)
  takeLimit(ctx, 'inviteUser', target)
  const content = memberContent('invite', options.reason, {
    ...(await profileContent(ctx, target)),
    ...options.content,
  })
  await appendAsMember(ctx, actor, roomId, async room => {
    await addState(room, { sender: actor.userId, type: 'm.room.member', stateKey: target, content })
  })
}

/**
 * Throws M_INVITE_BLOCKED (403) for a user who takes no invitations, and M_FORBIDDEN for one of another server while this
 * one talks to none. https://spec.matrix.org/v1.19/client-server-api/#invite-permission
 */
export async function refuseUninvitable(ctx: Context, target: UserId): Promise<void> {
  if (!isLocal(ctx, target)) throw forbidden('This server does not invite users of other servers')
  const userNumber = await ctx.numbers.knownUser(target)
  if (userNumber !== null && (await blocksInvitations(ctx, userNumber))) {
    throw new MatrixError('M_INVITE_BLOCKED', 'That user does not accept invitations')
  }
}

/** True for a user of this server who takes no invitations. https://spec.matrix.org/v1.19/client-server-api/#invite-permission */
export async function blocksInvitations(ctx: Context, userNumber: number): Promise<boolean> {
  const config = await accountDataOf(
    ctx.db.kysely,
    ctx.numbers.sealer,
    userNumber,
    globalRoomNumber,
    'm.invite_permission_config',
  )
  if (config === null) return false
  // The column holds JSON text that this server wrote.
  const content = JSON.parse(config) as JsonValue
  return isJsonObject(content) && content['default_action'] === 'block'
}
