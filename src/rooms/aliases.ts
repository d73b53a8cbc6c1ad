import { type Context, perServer } from '../context.ts'
import { forbidden, invalidParam, MatrixError, notFound, notInRoom } from '../errors.ts'
import { historyVisibilityOf } from '../protocol/history-visibility.ts'
import { parseRoomAlias, type RoomAlias, type RoomId, type ServerName, serverNameOf } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { aliasesOf, aliasTarget, deleteAlias, insertAlias } from '../storage/aliases.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { append } from './append.ts'
import { headForMember } from './as-member.ts'
import { type RoomHead, roomHead } from './head.ts'

/** How many aliases a room may have here. */
const aliasLimit = 500
/** How many servers are named as being in a room. */
const serverLimit = 100

/** Throws M_EXCLUSIVE where an alias is not for this user to make. */
export type AliasGuard = (actor: Actor, alias: RoomAlias) => void

/** Guards that are asked before an alias is made: application services reserve names here. */
export const aliasGuards = perServer(() => new Set<AliasGuard>())

/** Asks the guards. */
export function refuseReservedAlias(ctx: Context, actor: Actor, alias: RoomAlias): void {
  for (const guard of aliasGuards(ctx)) guard(actor, alias)
}

/** 400: an alias does not stand for the room that would claim it. */
export const badAlias = () => new MatrixError('M_BAD_ALIAS', 'The alias does not stand for this room')

/** What an alias stands for. */
export interface ResolvedAlias {
  readonly roomId: RoomId
  /** Servers that may be in the room. */
  readonly servers: readonly ServerName[]
}

/**
 * Resolves an alias of any server. Throws M_NOT_FOUND.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias
 */
export async function resolveAlias(ctx: Context, alias: RoomAlias): Promise<ResolvedAlias> {
  const unknown = () => notFound('There is no such alias')
  if (serverNameOf(alias) !== ctx.serverName) {
    const resolved = ctx.remote.enabled ? await ctx.remote.resolveAlias(alias) : null
    if (!resolved) throw unknown()
    return resolved
  }
  const target = await aliasTarget(ctx.db.kysely, alias)
  if (!target) throw unknown()
  const head = await roomHead(ctx, target.roomId)
  return { roomId: target.roomId, servers: head ? serversIn(ctx, head) : [ctx.serverName] }
}

/** The servers whose users have joined, this one first. */
function serversIn(ctx: Context, head: RoomHead): ServerName[] {
  const servers = new Set<ServerName>([ctx.serverName])
  for (const userId of head.members('join')) {
    servers.add(serverNameOf(userId))
    if (servers.size === serverLimit) break
  }
  return [...servers]
}

/** The room that a path names, by ID or by alias, and the servers to reach it through. Throws M_NOT_FOUND. */
export async function findRoom(
  ctx: Context,
  roomIdOrAlias: RoomId | RoomAlias,
  via: readonly ServerName[],
): Promise<{ readonly roomId: RoomId; readonly via: readonly ServerName[] }> {
  const alias = parseRoomAlias(roomIdOrAlias)
  // What is not an alias is the other of the two.
  if (alias === null) return { roomId: roomIdOrAlias as RoomId, via }
  const { roomId, servers } = await resolveAlias(ctx, alias)
  return { roomId, via: [...new Set([...via, ...servers])] }
}

/**
 * Makes an alias of this server for a room that the user has joined. Throws 409 if it is taken, M_EXCLUSIVE if it is
 * reserved, M_INVALID_PARAM for another server's, M_FORBIDDEN for a room that the user is not in.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias
 */
export async function createAlias(ctx: Context, actor: Actor, alias: RoomAlias, roomId: RoomId): Promise<void> {
  refuseSuspended(actor)
  if (serverNameOf(alias) !== ctx.serverName) throw invalidParam('The alias must be one of this server')
  if (/\s/u.test(alias)) throw invalidParam('An alias cannot have spaces')
  refuseReservedAlias(ctx, actor, alias)
  const { facts } = await headForMember(ctx, actor, roomId)
  if ((await aliasesOf(ctx.db.kysely, facts.roomNumber)).length >= aliasLimit) {
    throw forbidden('The room has too many aliases')
  }
  const isNew = await ctx.log.transact(async (tx, announce) => {
    const made = await insertAlias(tx, alias, facts.roomNumber, actor.userNumber)
    if (made) announce({ kind: 'room', roomId })
    return made
  })
  if (!isNew) throw new MatrixError('M_UNKNOWN', 'That alias is taken', { status: 409 })
}

/**
 * Removes an alias, and takes it out of the room's `m.room.canonical_alias` where the user may change that. Its creator,
 * whoever may set the canonical alias, and administrators may do it. Throws M_NOT_FOUND, M_FORBIDDEN.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias
 */
export async function removeAlias(ctx: Context, actor: Actor, alias: RoomAlias): Promise<void> {
  const target = serverNameOf(alias) === ctx.serverName ? await aliasTarget(ctx.db.kysely, alias) : null
  if (!target) throw notFound('There is no such alias')
  const { roomId, roomNumber, creatorNumber } = target
  const head = await roomHead(ctx, roomId)
  if (creatorNumber !== actor.userNumber && !actor.isAdmin && !(head && maySetAliases(head, actor))) {
    throw forbidden('You may not remove that alias')
  }
  const isGone = await ctx.log.transact(async (tx, announce) => {
    const removed = await deleteAlias(tx, alias, roomNumber)
    if (removed) announce({ kind: 'room', roomId })
    return removed
  })
  if (!isGone) throw notFound('There is no such alias')
  await unpublishAlias(ctx, actor, roomId, alias)
}

/** Whether the user may change what aliases a room goes by, and so its entry in the directory. */
export function maySetAliases(head: RoomHead, actor: Actor): boolean {
  const { powerLevels } = head
  return (
    head.membership(actor.userId) === 'join' &&
    powerLevels.userLevel(actor.userId) >= powerLevels.requiredLevel('m.room.canonical_alias', true)
  )
}

async function unpublishAlias(ctx: Context, actor: Actor, roomId: RoomId, alias: RoomAlias): Promise<void> {
  await append(ctx, roomId, async room => {
    const content = room.head.event('m.room.canonical_alias')?.content
    // "delete the alias and return a successful response even if the user does not have permission to update" it
    if (!content || !maySetAliases(room.head, actor) || actor.isSuspended) return
    const { alias: main, alt_aliases: others, ...rest } = content
    const kept = Array.isArray(others) ? others.filter(other => other !== alias) : others
    if (main !== alias && (!Array.isArray(others) || !Array.isArray(kept) || kept.length === others.length)) return
    await room.add({
      sender: actor.userId,
      type: 'm.room.canonical_alias',
      stateKey: '',
      content: {
        ...rest,
        ...(main === undefined || main === alias ? {} : { alias: main }),
        ...(kept === undefined || (Array.isArray(kept) && kept.length === 0) ? {} : { alt_aliases: kept }),
      },
    })
  })
}

/**
 * This server's aliases of a room, for members and, if it is world-readable, for everybody. Throws the same M_FORBIDDEN for
 * any other room, known or not. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases
 */
export async function listAliases(ctx: Context, actor: Actor, roomId: RoomId): Promise<RoomAlias[]> {
  const head = await roomHead(ctx, roomId)
  if (!head) throw notInRoom()
  const visibility = historyVisibilityOf(head.event('m.room.history_visibility')?.content)
  if (head.membership(actor.userId) !== 'join' && visibility !== 'world_readable') throw notInRoom()
  return aliasesOf(ctx.db.kysely, head.facts.roomNumber)
}

/** Every alias that a content of `m.room.canonical_alias` names. Throws M_INVALID_PARAM for what is not one. */
export function aliasesIn(content: JsonObject): RoomAlias[] {
  const { alias, alt_aliases: others } = content
  // "an absent, null or empty alias" is none.
  const named = alias === undefined || alias === null || alias === '' ? [] : [alias]
  if (others !== undefined && !Array.isArray(others)) throw invalidParam('alt_aliases must be a list of aliases')
  return [...named, ...(others ?? [])].map(each => {
    const parsed = typeof each === 'string' ? parseRoomAlias(each) : null
    if (parsed === null) throw invalidParam('m.room.canonical_alias names something that is not an alias')
    return parsed
  })
}

/**
 * Throws if a new `m.room.canonical_alias` names an alias that is not valid (M_INVALID_PARAM) or does not stand for the
 * room (M_BAD_ALIAS). "Servers do not validate aliases which are being removed or are already present."
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 */
export async function checkCanonicalAlias(ctx: Context, head: RoomHead, content: JsonObject): Promise<void> {
  const standing = head.event('m.room.canonical_alias')?.content ?? {}
  const { alias, alt_aliases: others } = standing
  const known = new Set<unknown>([alias, ...(Array.isArray(others) ? others : [])])
  for (const named of new Set(aliasesIn(content))) {
    if (known.has(named)) continue
    const target = await targetOf(ctx, named)
    if (target !== head.roomId) throw badAlias()
  }
}

async function targetOf(ctx: Context, alias: RoomAlias): Promise<RoomId | null> {
  if (serverNameOf(alias) === ctx.serverName) return (await aliasTarget(ctx.db.kysely, alias))?.roomId ?? null
  return (ctx.remote.enabled && (await ctx.remote.resolveAlias(alias))?.roomId) || null
}
