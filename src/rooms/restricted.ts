import { type Context, isLocal } from '../context.ts'
import { joinRuleOf } from '../protocol/auth/auth-state.ts'
import { parseRoomId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { type RoomHead, roomHead } from './head.ts'
import { isResident } from './residence.ts'

/** What a restricted room says to a user who wants to join without an invitation. */
export type RestrictedVerdict =
  /** The room is not restricted, or the user is invited or in it already: the ordinary rules decide. */
  | { readonly kind: 'not_asked' }
  /** A condition is met, and this user of ours may vouch for it. */
  | { readonly kind: 'granted'; readonly authorisedBy: UserId }
  /** No condition is met. */
  | { readonly kind: 'refused' }
  /** None is met that this server can check, but there are others. */
  | { readonly kind: 'cannot_tell' }
  /** A condition is met, but no user of this server may invite: another server has to let the user in. */
  | { readonly kind: 'cannot_grant' }

/** How many conditions of a room are looked at. */
const conditionLimit = 100

/**
 * Checks the conditions of a restricted room. For users of other servers too: the federation's make_join asks here.
 * https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms
 */
export async function restrictedJoin(ctx: Context, head: RoomHead, userId: UserId): Promise<RestrictedVerdict> {
  const rule = joinRuleOf(head.authState)
  const isRestricted =
    (rule === 'restricted' && head.version.restrictedJoins) ||
    (rule === 'knock_restricted' && head.version.knockRestrictedJoins)
  if (!isRestricted) return { kind: 'not_asked' }
  const membership = head.membership(userId)
  // One who is banned is refused by the ordinary rules.
  if (membership === 'invite' || membership === 'join' || membership === 'ban') return { kind: 'not_asked' }

  const condition = await meetsCondition(ctx, roomsThatLetIn(head.event('m.room.join_rules')?.content), userId)
  if (condition !== 'met') return { kind: condition }
  const authorisedBy = authorisingUser(ctx, head)
  return authorisedBy === null ? { kind: 'cannot_grant' } : { kind: 'granted', authorisedBy }
}

/** The rooms whose members may join; conditions of a kind that is not understood count for nothing. */
export function roomsThatLetIn(joinRules: JsonObject | undefined): RoomId[] {
  const allow = joinRules?.['allow']
  if (!Array.isArray(allow)) return []
  return allow.slice(0, conditionLimit).flatMap(condition => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return []
    const { room_id: roomId } = condition
    return (typeof roomId === 'string' ? parseRoomId(roomId) : null) ?? []
  })
}

async function meetsCondition(
  ctx: Context,
  rooms: readonly RoomId[],
  userId: UserId,
): Promise<'met' | 'refused' | 'cannot_tell'> {
  const userNumber = await ctx.numbers.knownUser(userId)
  const joined = new Set(
    userNumber === null ? [] : (await joinedRooms(ctx.db.kysely, userNumber)).map(({ roomId }) => roomId),
  )
  // Where a user of ours is, this server is, so it knows.
  if (isLocal(ctx, userId) && rooms.some(roomId => joined.has(roomId))) return 'met'
  let isSure = true
  for (const roomId of rooms) {
    const head = await roomHead(ctx, roomId)
    if (!head || !isResident(ctx, head)) isSure = false
    else if (joined.has(roomId)) return 'met'
  }
  return isSure ? 'refused' : 'cannot_tell'
}

/** The local member with the most power among those who may invite. */
function authorisingUser(ctx: Context, head: RoomHead): UserId | null {
  const { powerLevels } = head
  let best: UserId | null = null
  let bestLevel = -Infinity
  for (const userId of head.members('join')) {
    const level = powerLevels.userLevel(userId)
    if (level < powerLevels.invite || level <= bestLevel || !isLocal(ctx, userId)) continue
    best = userId
    bestLevel = level
  }
  return best
}
