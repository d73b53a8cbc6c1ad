import { type Context } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type RoomId, type ServerName } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor, refuseSuspended, takeLimit } from './actor.ts'
import { addState } from './add-state.ts'
import { append } from './append.ts'
import { refuseBlocked } from './blocked.ts'
import { type RoomHead, roomHead } from './head.ts'
import { memberContent, profileContent } from './member-content.ts'
import { isResident } from './residence.ts'
import { restrictedJoin } from './restricted.ts'
import { carryOver } from './upgrade-settings.ts'

export interface JoinOptions {
  readonly reason?: string | undefined
  /** Servers that may be in the room, for one that this server is not in. */
  readonly via?: readonly ServerName[]
  /** What the member event says beside the membership, over the user's profile: a name for this room alone. */
  readonly content?: JsonObject
  /** What a client adds to the member event of its join, under keys of its own. */
  readonly more?: JsonObject
}

/** The one refusal: it does not say whether the room is there. */
const closedRoom = () => forbidden('You cannot join that room')

/**
 * Lets a user join a room. One who is in it already stays as they are, unless `content` says something new. Throws
 * M_FORBIDDEN, in the same words for a room that is unknown and one that is closed to the user.
 * https://spec.matrix.org/v1.19/client-server-api/#joining-rooms
 */
export async function join(ctx: Context, actor: Actor, roomId: RoomId, options: JoinOptions = {}): Promise<void> {
  refuseSuspended(actor)
  const { userId } = actor
  const head = await roomHead(ctx, roomId)
  if (head?.membership(userId) === 'join' && options.content === undefined) return
  await refuseBlocked(ctx, roomId)
  takeLimit(ctx, 'joinRoom', roomId)
  const content = memberContent('join', options.reason, {
    ...ownKeys(options.more ?? {}),
    ...(await profileContent(ctx, userId)),
    ...options.content,
  })
  if (!head || (await isForOthersToDecide(ctx, actor, head))) {
    await joinElsewhere(ctx, actor, roomId, options.via ?? [], content)
  } else {
    await joinHere(ctx, actor, roomId, content, options.content === undefined)
  }
  await carryOver(ctx, actor, roomId)
}

/** Keys of a member event that mean something, and of the request itself: not for clients to set by the way. */
const reservedKeys = new Set([
  'membership',
  'displayname',
  'avatar_url',
  'is_direct',
  'reason',
  'join_authorised_via_users_server',
  'third_party_invite',
  'third_party_signed',
])

function ownKeys(more: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(more).filter(([key]) => !reservedKeys.has(key)))
}

/** True for a room that only another server can let the user into. */
async function isForOthersToDecide(ctx: Context, actor: Actor, head: RoomHead): Promise<boolean> {
  if (!ctx.remote.enabled) return false
  if (!isResident(ctx, head)) return true
  const { kind } = await restrictedJoin(ctx, head, actor.userId)
  return kind === 'cannot_tell' || kind === 'cannot_grant'
}

async function joinElsewhere(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  via: readonly ServerName[],
  content: JsonObject,
): Promise<void> {
  // "Servers MUST only allow guest users to join rooms if" their state says so, which is not known yet.
  if (!ctx.remote.enabled || actor.isGuest) throw closedRoom()
  takeLimit(ctx, 'joinRemote', actor.userId)
  await ctx.remote.join(actor.userId, roomId, via, content)
}

async function joinHere(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  content: JsonObject,
  isJoinAlone: boolean,
): Promise<void> {
  const { userId } = actor
  await append(ctx, roomId, async room => {
    const { head } = room
    if (isJoinAlone && head.membership(userId) === 'join') return
    if (actor.isGuest && !letsGuestsIn(head)) throw closedRoom()
    const verdict = await restrictedJoin(ctx, head, userId)
    if (verdict.kind !== 'not_asked' && verdict.kind !== 'granted') throw closedRoom()
    const authorised = verdict.kind === 'granted' ? { join_authorised_via_users_server: verdict.authorisedBy } : {}
    try {
      await addState(room, {
        sender: userId,
        type: 'm.room.member',
        stateKey: userId,
        content: { ...content, ...authorised },
      })
    } catch (error) {
      throw error instanceof MatrixError && error.errcode === 'M_FORBIDDEN' ? closedRoom() : error
    }
  })
}

/** https://spec.matrix.org/v1.19/client-server-api/#mroomguest_access */
export function letsGuestsIn(head: RoomHead): boolean {
  return head.event('m.room.guest_access')?.content['guest_access'] === 'can_join'
}
