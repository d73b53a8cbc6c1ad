import { type Context, perServer } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type RoomAlias, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { roomCreators } from '../protocol/power-levels.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { aliasesOf, moveAliases } from '../storage/aliases.ts'
import { isPublished, setPublished } from '../storage/rooms.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { append, type OpenRoom } from './append.ts'
import { headForMember } from './as-member.ts'
import { addTo, creationContent, makeRoomWith, type StateOfNewRoom, supportedVersion } from './create.ts'
import { defaultPowerLevels } from './default-power-levels.ts'
import { type RoomHead } from './head.ts'
import { memberContent, profileContent } from './member-content.ts'
import { closedPowerLevels, successorPowerLevels } from './upgrade-power-levels.ts'
import { carryOver } from './upgrade-settings.ts'

/** "the recommended state events to transfer", and the room's lifetime of messages; power levels are a matter of their own. */
const transferredTypes = [
  'm.room.join_rules', 'm.room.history_visibility', 'm.room.guest_access', 'm.room.encryption', 'm.room.server_acl',
  'm.room.name', 'm.room.topic', 'm.room.avatar', 'm.room.retention', 'org.matrix.msc1763.retention',
] as const // prettier-ignore

/** How many bans, and children of a space, are taken along: the room is made in one piece. */
const banLimit = 1_000
const childLimit = 1_000

const underWay = perServer(() => new Map<RoomId, Promise<RoomId>>())

/**
 * Replaces a room by a new one of another version: with its state, bans, aliases and place in the directory. The old room
 * gets a tombstone and falls silent. Returns the new room's ID; a second request while the first is under way gets the same.
 * Throws M_FORBIDDEN for those who may not send a tombstone, M_UNSUPPORTED_ROOM_VERSION.
 * https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
export async function upgradeRoom(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  request: { readonly version: string; readonly additionalCreators: readonly UserId[] },
): Promise<RoomId> {
  refuseSuspended(actor)
  const version = supportedVersion(request.version)
  const old = await headForMember(ctx, actor, roomId)
  if (!maySend(old, actor, 'm.room.tombstone')) throw forbidden('You may not upgrade that room')
  const running = underWay(ctx)
  const earlier = running.get(roomId)
  if (earlier) return earlier
  const upgrading = replace(ctx, actor, old, version, request.additionalCreators)
  running.set(roomId, upgrading)
  try {
    return await upgrading
  } finally {
    running.delete(roomId)
  }
}

const maySend = ({ powerLevels }: RoomHead, actor: Actor, type: string) =>
  powerLevels.userLevel(actor.userId) >= powerLevels.requiredLevel(type, true)

async function replace(
  ctx: Context,
  actor: Actor,
  old: RoomHead,
  version: RoomVersion,
  additionalCreators: readonly UserId[],
): Promise<RoomId> {
  const reader = ctx.db.kysely
  const { roomNumber } = old.facts
  const [wasPublic, aliases, creatorProfile] = await Promise.all([
    isPublished(reader, roomNumber),
    aliasesOf(reader, roomNumber),
    profileContent(ctx, actor.userId),
  ])
  const create = successorCreateContent(old, version, actor.userId, additionalCreators)
  // The state is taken once: what changes in the old room meanwhile changes there alone.
  const state = [...transferredState(old, version), ...aliasState(old, aliases)]
  const standard = defaultPowerLevels(version, version.privilegedCreators ? [] : [actor.userId], 0)
  const levels = old.event('m.room.power_levels')?.content ?? standard
  const newRoomId = await makeRoomWith(ctx, actor, {
    version,
    create,
    isPublic: wasPublic,
    aliases: [],
    creatorProfile,
    build: room => fillRoom(room, actor, old, levels, state),
  })
  await closeRoom(ctx, actor, old.roomId, newRoomId)
  const successor = await ctx.numbers.room(newRoomId)
  await ctx.log.transact(async (tx, announce) => {
    if (successor) await moveAliases(tx, roomNumber, successor.roomNumber)
    await setPublished(tx, roomNumber, false)
    announce({ kind: 'room', roomId: old.roomId })
    announce({ kind: 'room', roomId: newRoomId })
  })
  await carryOver(ctx, actor, newRoomId)
  return newRoomId
}

/** "a `predecessor` field, the applicable `room_version`, and a `type` field which is copied". */
function successorCreateContent(
  old: RoomHead,
  version: RoomVersion,
  creator: UserId,
  additionalCreators: readonly UserId[],
): JsonObject {
  const before = old.event('m.room.create')?.content ?? {}
  const last = old.forwardExtremities[0]?.event.eventId
  const asked: JsonObject = {
    // "the `event_id` property inside `predecessor` MAY be omitted" in version 12, where it could not be the tombstone's.
    predecessor: { room_id: old.roomId, ...(version.roomIdIsCreateHash || !last ? {} : { event_id: last }) },
    ...(before['type'] === undefined ? {} : { type: before['type'] }),
    ...(before['m.federate'] === undefined ? {} : { 'm.federate': before['m.federate'] }),
  }
  return creationContent(version, creator, asked, additionalCreators)
}

async function fillRoom(
  room: OpenRoom,
  actor: Actor,
  old: RoomHead,
  levels: JsonObject,
  state: readonly StateOfNewRoom[],
): Promise<void> {
  const create = room.head.event('m.room.create')
  const creators = create ? roomCreators(create, room.head.version) : []
  const { first, final } = successorPowerLevels(old, levels, room.head.version, creators, actor.userId)
  await addTo(room, actor, { type: 'm.room.power_levels', stateKey: '', content: first })
  for (const entry of state) await addTo(room, actor, entry)
  for (const userId of old.members('ban').slice(0, banLimit)) {
    const said = old.event('m.room.member', userId)?.content['reason']
    const reason = typeof said === 'string' ? said : undefined
    await addTo(room, actor, { type: 'm.room.member', stateKey: userId, content: memberContent('ban', reason) })
  }
  if (final) await addTo(room, actor, { type: 'm.room.power_levels', stateKey: '', content: final })
}

function transferredState(old: RoomHead, version: RoomVersion): StateOfNewRoom[] {
  const state = transferredTypes.flatMap((type): StateOfNewRoom[] => {
    const content = old.event(type)?.content
    if (!content) return []
    return [{ type, stateKey: '', content: type === 'm.room.join_rules' ? joinRulesFor(version, content) : content }]
  })
  if (old.event('m.room.create')?.content['type'] === 'm.space') {
    for (const [stateKey, stored] of old.state.ofType('m.space.child')) {
      // A child with an empty content has been taken out.
      if (Object.keys(stored.event.content).length === 0) continue
      if (state.length >= childLimit) break
      state.push({ type: 'm.space.child', stateKey, content: stored.event.content })
    }
  }
  return state
}

/** The join rules, or `invite` where the version does not know the rule: then nobody could join at all. */
function joinRulesFor(version: RoomVersion, content: JsonObject): JsonObject {
  const isUnknown =
    (content['join_rule'] === 'knock' && !version.knocking) ||
    (content['join_rule'] === 'restricted' && !version.restrictedJoins) ||
    (content['join_rule'] === 'knock_restricted' && !version.knockRestrictedJoins)
  return isUnknown ? { join_rule: 'invite' } : content
}

/** The aliases that the old room went by, as far as they move. */
function aliasState(old: RoomHead, moving: readonly RoomAlias[]): StateOfNewRoom[] {
  const content = old.event('m.room.canonical_alias')?.content
  if (!content) return []
  const moves = (alias: unknown) => moving.some(each => each === alias)
  const { alias, alt_aliases: others } = content
  const kept = Array.isArray(others) ? others.filter(moves) : []
  const published: JsonObject = {
    ...(alias !== undefined && moves(alias) ? { alias } : {}),
    ...(kept.length === 0 ? {} : { alt_aliases: kept }),
  }
  if (Object.keys(published).length === 0) return []
  return [{ type: 'm.room.canonical_alias', stateKey: '', content: published }]
}

/** Sends the tombstone and, "if possible", keeps everybody but the moderators from going on in the old room. */
async function closeRoom(ctx: Context, actor: Actor, oldRoomId: RoomId, newRoomId: RoomId): Promise<void> {
  await append(ctx, oldRoomId, async room => {
    const content = { body: 'This room has been replaced', replacement_room: newRoomId }
    await addTo(room, actor, { type: 'm.room.tombstone', stateKey: '', content })
    const levels = room.head.event('m.room.power_levels')?.content
    const closed = isJsonObject(levels) ? closedPowerLevels(levels, room.head.version) : null
    if (!closed) return
    try {
      await addTo(room, actor, { type: 'm.room.power_levels', stateKey: '', content: closed })
    } catch (error) {
      // Whoever may close a room need not be allowed to change its power levels.
      if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
    }
  })
}
