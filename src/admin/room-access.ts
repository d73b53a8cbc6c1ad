import { type Context, isLocal } from '../context.ts'
import { MatrixError, notFound } from '../errors.ts'
import { parseRoomAlias, type RoomAlias, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject } from '../protocol/json.ts'
import { type Actor } from '../rooms/actor.ts'
import { addState } from '../rooms/add-state.ts'
import { findRoom } from '../rooms/aliases.ts'
import { append } from '../rooms/append.ts'
import { type RoomHead, roomHead } from '../rooms/head.ts'
import { join } from '../rooms/join.ts'
import { memberContent, profileContent } from '../rooms/member-content.ts'
import { blockerOf, blockRoom, unblockRoom } from '../storage/admin-rooms.ts'
import { transaction } from '../storage/database.ts'
import { actorOf, localAccount } from './local-account.ts'

/** Closes a room to everybody here, or opens it again. The room need not be known. */
export async function setBlocked(
  ctx: Context,
  caller: { readonly userNumber: number },
  roomId: RoomId,
  isBlocked: boolean,
): Promise<void> {
  await transaction(ctx.db, tx =>
    isBlocked ? blockRoom(tx, roomId, caller.userNumber, false) : unblockRoom(tx, roomId, false),
  )
}

/** Who closed a room; `null` for an open one. */
export function blocker(ctx: Context, roomId: RoomId): Promise<UserId | null> {
  return blockerOf(ctx.db.kysely, roomId)
}

/** The room of a path, by ID or by alias, as it stands. Throws `notFound`. */
export async function knownRoom(ctx: Context, roomIdOrAlias: RoomId | RoomAlias): Promise<RoomHead> {
  const { roomId } = await findRoom(ctx, roomIdOrAlias, [])
  const head = await roomHead(ctx, roomId)
  if (!head) throw notFound(parseRoomAlias(roomIdOrAlias) ? 'Room alias not found' : 'Room not found')
  return head
}

/**
 * Lets somebody join a room. Into one that is not open to them the administrator invites them first, who must be able to.
 * Returns the room's ID. Throws M_FORBIDDEN, `notFound`, 400 for another server's user.
 */
export async function joinUser(
  ctx: Context,
  caller: Actor,
  userId: UserId,
  roomIdOrAlias: RoomId | RoomAlias,
): Promise<RoomId> {
  const account = await localAccount(ctx, userId)
  const head = await knownRoom(ctx, roomIdOrAlias)
  const { roomId } = head
  const isAwaited = ['join', 'invite'].includes(head.membership(userId))
  if (!isAwaited && !isOpen(head)) await inviteAs(ctx, caller.userId, userId, roomId)
  await join(ctx, actorOf(account), roomId)
  return roomId
}

function isOpen(head: RoomHead): boolean {
  return head.event('m.room.join_rules')?.content['join_rule'] === 'public'
}

/** Not `invite`: what a user wants of other users' invitations, and limits, are not for this. */
async function inviteAs(ctx: Context, sender: UserId, userId: UserId, roomId: RoomId): Promise<void> {
  const content = memberContent('invite', undefined, await profileContent(ctx, userId))
  await append(ctx, roomId, async room => {
    await addState(room, { sender, type: 'm.room.member', stateKey: userId, content })
  })
}

/**
 * Gives somebody the highest power level that a user of this server has in a room, through that user; invites them if they
 * are not in it and it is not open. Throws `notFound`, and 400 where no user of this server can give it.
 */
export async function makeRoomAdmin(ctx: Context, roomIdOrAlias: RoomId | RoomAlias, userId: UserId): Promise<void> {
  await localAccount(ctx, userId)
  const { roomId } = await knownRoom(ctx, roomIdOrAlias)
  await append(ctx, roomId, async room => {
    const { head } = room
    const levels = head.powerLevels
    const needed = levels.requiredLevel('m.room.power_levels', true)
    const giver = head
      .members('join')
      .filter(member => isLocal(ctx, member))
      .sort((a, b) => levels.userLevel(b) - levels.userLevel(a))
      .find(member => levels.userLevel(member) >= needed)
    if (giver === undefined) {
      throw new MatrixError('M_UNKNOWN', 'No local admin user in room with power to update power levels.')
    }
    const given = Number.isFinite(levels.userLevel(giver)) ? levels.userLevel(giver) : Math.max(100, needed)
    if (giver !== userId && levels.userLevel(userId) < given) {
      // Without such an event a creator has their level by it, and would lose it to the first one.
      const content = head.event('m.room.power_levels')?.content ?? { users: { [giver]: given } }
      const users = isJsonObject(content['users']) ? content['users'] : {}
      await addState(room, {
        sender: giver,
        type: 'm.room.power_levels',
        stateKey: '',
        content: { ...content, users: { ...users, [userId]: given } },
      })
    }
    if (['join', 'invite'].includes(head.membership(userId)) || isOpen(head)) return
    const content = memberContent('invite', undefined, await profileContent(ctx, userId))
    await addState(room, { sender: giver, type: 'm.room.member', stateKey: userId, content })
  })
}
