import { type Context } from '../context.ts'
import { badJson, invalidParam, notFound, unavailable } from '../errors.ts'
import { memberships } from '../protocol/history-visibility.ts'
import { type EventId, parseUserId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { stateAt, stateEventAt } from '../storage/past-state.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { addState } from './add-state.ts'
import { checkCanonicalAlias } from './aliases.ts'
import { appendAsMember, headForMember } from './as-member.ts'
import { ban } from './ban.ts'
import { removeGuests } from './guests.ts'
import { roomHead } from './head.ts'
import { invite } from './invite.ts'
import { join } from './join.ts'
import { kick } from './kick.ts'
import { knock } from './knock.ts'
import { leave } from './leave.ts'
import { checkStateContent, refuseCreatorsAmongUsers } from './state-content.ts'
import { unban } from './unban.ts'
import { presentForm, roomAccess } from './visibility.ts'

/** A state event that a client wants to set. */
export interface StateChangeRequest {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
  /** Milliseconds since the epoch, where an application service says when it was; now where absent. */
  readonly originServerTs?: number | undefined
}

/**
 * Sets a piece of a room's state; returns the event's ID: that of the present one if the same user has said just that
 * before. Memberships go the way of /join, /invite and their like. Throws M_FORBIDDEN, M_BAD_JSON, M_INVALID_PARAM,
 * M_BAD_ALIAS, M_TOO_LARGE, M_USER_SUSPENDED.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 */
export async function setState(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  request: StateChangeRequest,
): Promise<EventId> {
  const { type, stateKey, content, originServerTs } = request
  if (type === 'm.room.create') throw invalidParam('A room is created only once')
  if (type === 'm.room.member') return setMembership(ctx, actor, roomId, stateKey, content)
  refuseSuspended(actor)
  const head = await headForMember(ctx, actor, roomId)
  if (stateKey === '') {
    checkStateContent(ctx, head.version, type, content)
    if (type === 'm.room.canonical_alias') await checkCanonicalAlias(ctx, head, content)
    if (type === 'm.room.power_levels') refuseCreatorsAmongUsers(head, content)
  }
  let eventId: EventId | null = null
  await appendAsMember(ctx, actor, roomId, async room => {
    const ts = originServerTs === undefined ? {} : { originServerTs }
    eventId = await addState(room, { sender: actor.userId, type, stateKey, content, ...ts })
  })
  if (type === 'm.room.guest_access' && stateKey === '' && content['guest_access'] !== 'can_join') {
    await removeGuests(ctx, head)
  }
  // `append` has run the function, or thrown.
  return eventId ?? Promise.reject(unavailable())
}

/**
 * "a user can directly adjust the target member's state by making a request to `/rooms/<room id>/state/m.room.member/…`":
 * with the same checks as the endpoints for it, and with whatever else the content says.
 */
async function setMembership(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  stateKey: string,
  asked: JsonObject,
): Promise<EventId> {
  const target = parseUserId(stateKey)
  if (target === null) throw invalidParam('The state key must be a user ID')
  const { join_authorised_via_users_server: _authorisedBy, third_party_invite: _invite, ...content } = asked
  const membership = memberships.find(each => each === asked['membership'])
  if (membership === undefined) throw badJson('membership must be one that there is')
  const isOwn = target === actor.userId
  if (!isOwn && (membership === 'join' || membership === 'knock')) throw invalidParam('Nobody can do that for another')
  switch (membership) {
    case 'join':
      await join(ctx, actor, roomId, { content })
      break
    case 'knock':
      await knock(ctx, actor, roomId, { content })
      break
    case 'invite':
      await invite(ctx, actor, roomId, target, { content })
      break
    case 'ban':
      await ban(ctx, actor, roomId, target, { content })
      break
    case 'leave':
      if (isOwn) await leave(ctx, actor, roomId, { content })
      else await removeMember(ctx, actor, roomId, target, content)
  }
  const event = (await roomHead(ctx, roomId))?.event('m.room.member', target)
  if (!event) throw unavailable()
  return event.eventId
}

/** A leave that somebody else sets ends a ban or a stay. */
async function removeMember(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  target: UserId,
  content: JsonObject,
): Promise<void> {
  const head = await headForMember(ctx, actor, roomId)
  const remove = head.membership(target) === 'ban' ? unban : kick
  await remove(ctx, actor, roomId, target, { content })
}

/**
 * The state that a user may see of a room: the current one for members and in world-readable rooms, for others as it was
 * when they left. Throws the same M_FORBIDDEN for every other room, known or not.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
 */
export async function visibleState(ctx: Context, viewer: UserId, roomId: RoomId): Promise<readonly StoredEvent[]> {
  const { head, upTo } = await roomAccess(ctx, viewer, roomId)
  if (upTo === Infinity) return [...head.state.values()]
  const state = await stateAt(ctx.db, ctx.numbers, head.facts, upTo)
  return state.map(stored => presentForm(ctx, head, stored))
}

/** One event of `visibleState`. Throws M_NOT_FOUND if there is none of that type and key. */
export async function visibleStateEvent(
  ctx: Context,
  viewer: UserId,
  roomId: RoomId,
  type: string,
  stateKey: string,
): Promise<StoredEvent> {
  const { head, upTo } = await roomAccess(ctx, viewer, roomId)
  const stored =
    upTo === Infinity
      ? head.state.get(type, stateKey)
      : await stateEventAt(ctx.db, ctx.numbers, head.facts, upTo, type, stateKey)
  if (!stored) throw notFound('The room has no such state')
  return presentForm(ctx, head, stored)
}
