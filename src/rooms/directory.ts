import { type Context } from '../context.ts'
import { forbidden, invalidParam, notFound } from '../errors.ts'
import { historyVisibilityOf } from '../protocol/history-visibility.ts'
import { type RoomId, type ServerName } from '../protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../protocol/json.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import {
  type DirectoryPlace, directoryStart, isPublished, publishedCount, publishedRooms, setPublished, stateOfRooms,
} from '../storage/rooms.ts' // prettier-ignore
import { type Actor, refuseSuspended } from './actor.ts'
import { maySetAliases } from './aliases.ts'
import { headForMember } from './as-member.ts'
import { roomHead } from './head.ts'

/** What is asked of the directory. */
export interface DirectoryQuery {
  /** How many rooms at most. */
  readonly limit: number
  /** A token of an earlier answer. */
  readonly since?: string | undefined
  /** The server whose directory it is; this one where absent. */
  readonly server?: ServerName | undefined
  /** Words that the name, the topic or an alias has. */
  readonly searchTerm?: string | undefined
  /** Types of rooms; `null` among them: rooms without one. All where absent. */
  readonly roomTypes?: readonly (string | null)[] | undefined
}

/** How many rooms one answer has at most. */
export const directoryLimit = 500
export const directoryDefault = 100
/** How many rooms one request looks through for what it searches. */
const scanLimit = 5_000
/** How many rooms are read at once. */
const pageLimit = 250

const shownTypes = [
  'm.room.create', 'm.room.name', 'm.room.topic', 'm.room.canonical_alias', 'm.room.avatar', 'm.room.join_rules',
  'm.room.history_visibility', 'm.room.guest_access',
] as const // prettier-ignore

/**
 * A page of the directory, the rooms with the most members first: rooms that members published and that somebody who is
 * not in them could join, knock on or read. `filtered` is what the query leaves of them. Throws M_INVALID_PARAM for a
 * token that is none, M_NOT_FOUND for the directory of a server that cannot be asked.
 * https://spec.matrix.org/v1.19/client-server-api/#published-room-directory
 */
export async function listRooms(ctx: Context, query: DirectoryQuery): Promise<JsonObject> {
  if (query.server !== undefined && query.server !== ctx.serverName) {
    throw notFound('The directory of that server cannot be read')
  }
  const { direction, from } = readToken(query.since)
  const wanted = matcher(query)
  const found: { place: DirectoryPlace; entry: JsonObject }[] = []
  let place = from
  let isAtEnd = false
  for (let scanned = 0; found.length <= query.limit && scanned < scanLimit && !isAtEnd;) {
    const places = await publishedRooms(ctx.db.kysely, place, direction, pageLimit)
    isAtEnd = places.length < pageLimit
    scanned += places.length
    place = places.at(-1) ?? place
    const entries = await directoryEntries(ctx, places)
    for (const [index, entry] of entries.entries()) {
      const here = places[index]
      if (here && entry && wanted(entry)) found.push({ place: here, entry })
    }
  }
  const page = found.slice(0, query.limit)
  const hasMore = found.length > query.limit || !isAtEnd
  const nearest = page[0]?.place
  // Where the looking through ended early, it goes on there and not at the last room that was found.
  const farthest = (found.length > query.limit ? page.at(-1)?.place : undefined) ?? place
  // Walking up gives the nearest room first; the answer is in the order of the list.
  if (direction === 'up') page.reverse()
  const down = direction === 'down' ? (hasMore ? farthest : null) : (nearest ?? null)
  const up = direction === 'up' ? (hasMore ? farthest : null) : query.since === undefined ? null : (nearest ?? null)
  return {
    chunk: page.map(({ entry }) => entry),
    ...(down ? { next_batch: writeToken('down', down) } : {}),
    ...(up ? { prev_batch: writeToken('up', up) } : {}),
    total_room_count_estimate: await publishedCount(ctx.db.kysely),
  }
}

/** What the directory says of rooms; `null` for one that nobody from outside could enter or read. */
export async function directoryEntries(
  ctx: Context,
  places: readonly DirectoryPlace[],
): Promise<(JsonObject | null)[]> {
  const roomNumbers = places.map(({ roomNumber }) => roomNumber)
  const [rooms, state] = await Promise.all([
    ctx.numbers.rooms(roomNumbers),
    stateOfRooms(ctx.db.kysely, ctx.numbers, roomNumbers, shownTypes),
  ])
  return places.map(({ roomNumber, joinedCount }) => {
    const room = rooms.get(roomNumber)
    return room ? directoryEntry(room.roomId, joinedCount, state.get(roomNumber) ?? new Map()) : null
  })
}

function directoryEntry(
  roomId: RoomId,
  joinedCount: number,
  state: ReadonlyMap<string, StoredEvent>,
): JsonObject | null {
  const content = (type: (typeof shownTypes)[number]) => state.get(type)?.event.content
  const text = (type: (typeof shownTypes)[number], key: string): string | null => {
    const value = content(type)?.[key]
    return typeof value === 'string' && value !== '' ? value : null
  }
  const isWorldReadable = historyVisibilityOf(content('m.room.history_visibility')) === 'world_readable'
  const joinRule = text('m.room.join_rules', 'join_rule') ?? 'invite'
  // "automatically excluding rooms with `invite` join rules that are not `world_readable` regardless of their visibility"
  if ((joinRule === 'invite' || joinRule === 'private') && !isWorldReadable) return null
  const optional: [string, string | null][] = [
    ['name', text('m.room.name', 'name')],
    ['topic', text('m.room.topic', 'topic')],
    ['canonical_alias', text('m.room.canonical_alias', 'alias')],
    ['avatar_url', text('m.room.avatar', 'url')],
    ['room_type', text('m.room.create', 'type')],
  ]
  return {
    room_id: roomId,
    num_joined_members: joinedCount,
    world_readable: isWorldReadable,
    guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join' && joinRule === 'public',
    join_rule: joinRule,
    ...Object.fromEntries(optional.filter(([, value]) => value !== null)),
  }
}

function matcher({ searchTerm, roomTypes }: DirectoryQuery): (entry: JsonObject) => boolean {
  const term = searchTerm?.normalize('NFKC').toLowerCase() ?? ''
  const has = (value: JsonValue | undefined) =>
    typeof value === 'string' && value.normalize('NFKC').toLowerCase().includes(term)
  return entry => {
    const roomType = typeof entry['room_type'] === 'string' ? entry['room_type'] : null
    if (roomTypes && !roomTypes.includes(roomType)) return false
    return term === '' || has(entry['name']) || has(entry['topic']) || has(entry['canonical_alias'])
  }
}

/** `d` or `u` for the way to go, the place's number of members, its room. */
function writeToken(direction: 'down' | 'up', place: DirectoryPlace): string {
  return `${direction[0]}${place.joinedCount}_${place.roomNumber}`
}

function readToken(token: string | undefined): { direction: 'down' | 'up'; from: DirectoryPlace } {
  if (token === undefined) return { direction: 'down', from: directoryStart }
  const parts = /^([du])(\d{1,9})_(\d{1,9})$/.exec(token)
  if (!parts) throw invalidParam('since is not a token of this directory')
  return {
    direction: parts[1] === 'd' ? 'down' : 'up',
    from: { joinedCount: Number(parts[2]), roomNumber: Number(parts[3]) },
  }
}

/**
 * Whether a room stands in the directory. That one that does not is there at all is told to its members and to
 * administrators only: for others M_NOT_FOUND is thrown, as for an unknown room.
 */
export async function directoryVisibility(
  ctx: Context,
  actor: Actor | null,
  roomId: RoomId,
): Promise<'public' | 'private'> {
  const head = await roomHead(ctx, roomId)
  if (!head) throw unknownRoom()
  if (await isPublished(ctx.db.kysely, head.facts.roomNumber)) return 'public'
  if (actor && (actor.isAdmin || head.membership(actor.userId) === 'join')) return 'private'
  throw unknownRoom()
}

const unknownRoom = () => notFound('There is no such room')

/**
 * Puts a room into the directory or takes it out. Members who may set the room's aliases may do it, and administrators.
 * Throws M_FORBIDDEN, and for administrators M_NOT_FOUND.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid
 */
export async function publishRoom(ctx: Context, actor: Actor, roomId: RoomId, isPublic: boolean): Promise<void> {
  refuseSuspended(actor)
  const head = actor.isAdmin ? await roomHead(ctx, roomId) : await headForMember(ctx, actor, roomId)
  if (!head) throw unknownRoom()
  if (!actor.isAdmin && !maySetAliases(head, actor)) throw forbidden('You may not change how the room is listed')
  await ctx.log.transact(async (tx, announce) => {
    if (await setPublished(tx, head.facts.roomNumber, isPublic)) announce({ kind: 'room', roomId })
  })
}
