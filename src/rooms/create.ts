import { type Context, perServer } from '../context.ts'
import { invalidParam, MatrixError, roomInUse } from '../errors.ts'
import {
  type EventId,
  parseUserId,
  type RoomAlias,
  roomAliasOf,
  type RoomId,
  type UserId,
} from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type RoomVersion, roomVersion } from '../protocol/room-versions.ts'
import { aliasTarget } from '../storage/aliases.ts'
import { type Actor, refuseSuspended, takeLimit } from './actor.ts'
import { aliasesIn, badAlias, refuseReservedAlias } from './aliases.ts'
import { makeRoom, type OpenRoom } from './append.ts'
import { defaultPowerLevels } from './default-power-levels.ts'
import { refuseUninvitable } from './invite.ts'
import { memberContent, profileContent } from './member-content.ts'
import { checkStateContent, refuseCreatorsAmongUsers } from './state-content.ts'
import { carryOver } from './upgrade-settings.ts'

export type Preset = 'private_chat' | 'trusted_private_chat' | 'public_chat'

export interface StateOfNewRoom {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
}

/** What the creator of a room asks for. */
export interface RoomRequest {
  readonly preset?: Preset | undefined
  /** Whether the room stands in the directory. */
  readonly isPublic: boolean
  readonly version?: string | undefined
  /** The local part of an alias for the room. */
  readonly aliasName?: string | undefined
  readonly name?: string | undefined
  readonly topic?: string | undefined
  readonly invite: readonly UserId[]
  readonly isDirect: boolean
  readonly creationContent: JsonObject
  readonly initialState: readonly StateOfNewRoom[]
  /** Put over the default power levels, key by key. */
  readonly powerLevels: JsonObject
}

/** How many users one request may invite. */
export const inviteLimit = 200
/** How many events `initial_state` may have. */
export const initialStateLimit = 200
const creatorLimit = 100
/** `m.room.name` and `m.room.topic`: enough for any, and bounded. In bytes. */
export const nameLimitBytes = 1_024
export const topicLimitBytes = 16_384

const presets: Readonly<Record<Preset, { joinRule: string; guestAccess: string; inviteLevel: number }>> = {
  private_chat: { joinRule: 'invite', guestAccess: 'can_join', inviteLevel: 0 },
  trusted_private_chat: { joinRule: 'invite', guestAccess: 'can_join', inviteLevel: 0 },
  public_chat: { joinRule: 'public', guestAccess: 'forbidden', inviteLevel: 50 },
}

/**
 * Makes a room with all that the request asks for, or none of it; returns its ID. Throws M_UNSUPPORTED_ROOM_VERSION,
 * M_ROOM_IN_USE for a taken alias, M_INVALID_ROOM_STATE where the creator could not send what the request implies,
 * M_INVALID_PARAM, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export async function createRoom(ctx: Context, actor: Actor, request: RoomRequest): Promise<RoomId> {
  refuseSuspended(actor)
  const version = supportedVersion(request.version ?? ctx.config.rooms.defaultVersion)
  const preset = request.preset ?? (request.isPublic ? 'public_chat' : 'private_chat')
  const alias = request.aliasName === undefined ? null : await freeAlias(ctx, actor, request.aliasName)
  const invitees = [...new Set(request.invite)].filter(userId => userId !== actor.userId)
  if (invitees.length > inviteLimit) throw invalidParam('Too many users are invited at once')
  for (const userId of invitees) await refuseUninvitable(ctx, userId)
  for (const userId of invitees) takeLimit(ctx, 'inviteUser', userId)
  const isTrusted = preset === 'trusted_private_chat'
  const create = creationContent(version, actor.userId, request.creationContent, isTrusted ? invitees : [])
  const state = stateOf(ctx, request, preset, alias)
  for (const { type, content } of state) checkStateContent(ctx, version, type, content)
  const profiles = new Map<UserId, JsonObject>()
  for (const userId of [actor.userId, ...invitees]) profiles.set(userId, await profileContent(ctx, userId))

  const roomId = await makeRoomWith(ctx, actor, {
    version,
    create,
    isPublic: request.isPublic,
    aliases: alias === null ? [] : [alias],
    creatorProfile: profiles.get(actor.userId) ?? {},
    build: async room => {
      // prettier-ignore
      const overriding = request.initialState.find(({ type, stateKey }) => type === 'm.room.power_levels' && stateKey === '')
      const administrators = version.privilegedCreators ? [] : [actor.userId, ...(isTrusted ? invitees : [])]
      const levels = overriding?.content ?? {
        ...defaultPowerLevels(version, administrators, presets[preset].inviteLevel),
        ...request.powerLevels,
      }
      checkStateContent(ctx, version, 'm.room.power_levels', levels)
      refuseCreatorsAmongUsers(room.head, levels)
      await addTo(room, actor, { type: 'm.room.power_levels', stateKey: '', content: levels })
      for (const entry of state) await addTo(room, actor, entry)
      const direct = request.isDirect ? { is_direct: true } : {}
      for (const userId of invitees) {
        const content = memberContent('invite', undefined, { ...profiles.get(userId), ...direct })
        await addTo(room, actor, { type: 'm.room.member', stateKey: userId, content })
      }
    },
  })
  await carryOver(ctx, actor, roomId)
  return roomId
}

/** The version of that name. Throws M_UNSUPPORTED_ROOM_VERSION. */
export function supportedVersion(id: string): RoomVersion {
  const version = roomVersion(id)
  if (version) return version
  throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', 'This server does not support that room version')
}

/**
 * The content of the create event: what was asked for, under what the server has to say itself. `creators` become
 * additional creators where the version knows such. Throws M_INVALID_PARAM for `additional_creators` that are no user IDs.
 */
export function creationContent(
  version: RoomVersion,
  creator: UserId,
  asked: JsonObject,
  creators: readonly UserId[],
): JsonObject {
  const { creator: _creator, room_version: _version, ...content } = asked
  const own: JsonObject = {
    ...content,
    ...(version.implicitRoomCreator ? {} : { creator }),
    room_version: version.id,
  }
  if (!version.privilegedCreators) return own
  const named = asked['additional_creators'] ?? []
  if (!Array.isArray(named)) throw invalidParam('additional_creators must be a list of user IDs')
  const all = new Set<UserId>()
  for (const item of named) {
    const userId = typeof item === 'string' ? parseUserId(item) : null
    if (userId === null) throw invalidParam('additional_creators must be a list of user IDs')
    all.add(userId)
  }
  for (const userId of creators) all.add(userId)
  all.delete(creator)
  if (all.size > creatorLimit) throw invalidParam('There are too many additional_creators')
  const { additional_creators: _additional, ...rest } = own
  return all.size === 0 ? rest : { ...rest, additional_creators: [...all] }
}

/** What `makeRoomWith` makes a room of. */
export interface RoomPlan {
  readonly version: RoomVersion
  readonly create: JsonObject
  readonly isPublic: boolean
  readonly aliases: readonly RoomAlias[]
  readonly creatorProfile: JsonObject
  /** Adds everything after the creator's join. */
  readonly build: (room: OpenRoom) => Promise<void>
}

/**
 * Makes a room whose creator has joined it. What the rules refuse is the fault of the request as a whole:
 * M_INVALID_ROOM_STATE.
 */
export function makeRoomWith(ctx: Context, actor: Actor, plan: RoomPlan): Promise<RoomId> {
  const createEvent = {
    sender: actor.userId,
    type: 'm.room.create',
    stateKey: '',
    content: plan.create,
    originServerTs: creationTime(ctx),
  }
  const aliases = plan.aliases.map(alias => ({ alias, creatorNumber: actor.userNumber }))
  return makeRoom(ctx, plan.version, createEvent, { isPublic: plan.isPublic, aliases }, async room => {
    try {
      const content = memberContent('join', undefined, plan.creatorProfile)
      await addTo(room, actor, { type: 'm.room.member', stateKey: actor.userId, content })
      await plan.build(room)
    } catch (error) {
      if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
      throw new MatrixError('M_INVALID_ROOM_STATE', `The room cannot be made like this: ${error.message}`)
    }
  })
}

const lastCreation = perServer(() => ({ ts: 0 }))

/** Now, or the millisecond after the last room's: the time is all that tells two rooms of version 12 apart. */
function creationTime(ctx: Context): number {
  const last = lastCreation(ctx)
  last.ts = Math.max(ctx.clock.now(), last.ts + 1)
  return last.ts
}

/** Adds a state event of the creator's. */
export async function addTo(room: OpenRoom, actor: Actor, entry: StateOfNewRoom): Promise<EventId> {
  return (await room.add({ sender: actor.userId, ...entry })).eventId
}

async function freeAlias(ctx: Context, actor: Actor, name: string): Promise<RoomAlias> {
  const alias = /\s/u.test(name) ? null : roomAliasOf(name, ctx.serverName)
  if (alias === null) throw invalidParam('room_alias_name is not valid')
  refuseReservedAlias(ctx, actor, alias)
  if (await aliasTarget(ctx.db.kysely, alias)) throw roomInUse()
  return alias
}

/** What follows the power levels and comes before the invitations, in the spec's order. */
function stateOf(ctx: Context, request: RoomRequest, preset: Preset, alias: RoomAlias | null): StateOfNewRoom[] {
  const initial = request.initialState.filter(({ type, stateKey, content }) => {
    if (type === 'm.room.create' || type === 'm.room.member') {
      throw new MatrixError('M_INVALID_ROOM_STATE', `initial_state cannot hold ${type}`)
    }
    if (stateKey !== '') return true
    if (type === 'm.room.canonical_alias' && aliasesIn(content).some(named => named !== alias)) throw badAlias()
    // Sent in the place of the default ones, and "gets overridden by `name` and `topic`".
    if (type === 'm.room.power_levels') return false
    return !(type === 'm.room.name' && request.name !== undefined) && !(type === 'm.room.topic' && request.topic !== undefined) // prettier-ignore
  })
  const isSet = (type: string) => initial.some(entry => entry.type === type && entry.stateKey === '')
  const chosen: StateOfNewRoom[] = []
  const byDefault = (type: string, content: JsonObject) => {
    if (!isSet(type)) chosen.push({ type, stateKey: '', content })
  }
  if (alias !== null) byDefault('m.room.canonical_alias', { alias })
  byDefault('m.room.join_rules', { join_rule: presets[preset].joinRule })
  byDefault('m.room.history_visibility', { history_visibility: 'shared' })
  byDefault('m.room.guest_access', { guest_access: presets[preset].guestAccess })
  if (ctx.config.encryption.defaultInPrivateRooms && preset !== 'public_chat') {
    byDefault('m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' })
  }
  chosen.push(...initial)
  if (request.name !== undefined) chosen.push({ type: 'm.room.name', stateKey: '', content: { name: request.name } })
  if (request.topic !== undefined) {
    const content = { topic: request.topic, 'm.topic': { 'm.text': [{ body: request.topic }] } }
    chosen.push({ type: 'm.room.topic', stateKey: '', content })
  }
  return chosen
}

/** Throws M_THREEPID_DENIED: this server invites nobody by e-mail address or telephone number. */
export function refuseThirdPartyInvites(invites: readonly unknown[]): void {
  if (invites.length > 0) throw new MatrixError('M_THREEPID_DENIED', 'Invitations by address are not available')
}
