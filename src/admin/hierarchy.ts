import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { stateOfRooms } from '../storage/rooms.ts'
import { childEvents, roomsInTree } from '../storage/space-children.ts'
import { type DescribedRoom, describedRooms } from './rooms.ts'

/** Rooms of one tree that are walked at most. */
const walkedLimit = 2_000
/** Children that are looked up together. */
const roomsAtOnce = 100

/**
 * A space with the rooms below it, of those that this server knows, in the order of walking; whoever may see them. `from` is the
 * token of an earlier page. Throws `notFound`, `invalidParam`.
 */
export async function hierarchy(
  ctx: Context,
  roomId: RoomId,
  page: { readonly from: string | undefined; readonly limit: number; readonly maxDepth: number | null },
): Promise<JsonObject> {
  const start = page.from === undefined ? 0 : placeOf(page.from)
  const walked = await walk(ctx, roomId, page.maxDepth ?? Infinity, start + page.limit + 1)
  if (walked.length === 0) throw notFound('Room not found')
  const shown = walked.slice(start, start + page.limit)
  const end = start + shown.length
  return {
    rooms: await answers(ctx, shown),
    ...(walked.length > end && shown.length > 0 ? { next_batch: `h${end}` } : {}),
  }
}

function placeOf(token: string): number {
  const place = /^h\d{1,6}$/.test(token) ? Number(token.slice(1)) : NaN
  if (!(place <= walkedLimit)) throw invalidParam('from is not a token of this endpoint')
  return place
}

/** A room of the tree. */
interface TreeRoom {
  readonly roomId: RoomId
  readonly roomNumber: number
  /** Whether there are child events in it: it may be a space. */
  readonly hasChildren: boolean
}

/** One space that is being walked: its children that are still to be looked up, and those that were found and not visited yet. */
interface Level {
  readonly ids: RoomId[]
  found: TreeRoom[]
}

/** The first `count` rooms of the tree, depth first, each once; none if its root is not known. */
async function walk(ctx: Context, rootId: RoomId, maxDepth: number, count: number): Promise<TreeRoom[]> {
  const seen = new Set<RoomId>()
  const walked: TreeRoom[] = []
  const wanted = Math.min(count, walkedLimit)
  // From the root down; what is below the last is visited first.
  const levels: Level[] = [{ ids: [rootId], found: [] }]
  for (let level = levels.at(-1); level && walked.length < wanted; level = levels.at(-1)) {
    const next = level.found.shift()
    if (next && !seen.has(next.roomId)) {
      seen.add(next.roomId)
      walked.push(next)
      if (next.hasChildren && levels.length <= maxDepth) levels.push({ ids: await childIds(ctx, next), found: [] })
    } else if (!next && level.ids.length > 0) {
      const ids = level.ids.splice(0, Math.min(roomsAtOnce, wanted - walked.length))
      level.found = await lookUp(ctx, ids.filter(id => !seen.has(id))) // prettier-ignore
    } else if (!next) {
      levels.pop()
    }
  }
  return walked
}

/** Those of the rooms that this server knows, in the same order. */
async function lookUp(ctx: Context, roomIds: readonly RoomId[]): Promise<TreeRoom[]> {
  const known = await roomsInTree(ctx.db.kysely, ctx.numbers, roomIds)
  return roomIds.flatMap(roomId => {
    const room = known.get(roomId)
    return room ? [{ roomId, ...room }] : []
  })
}

async function childIds(ctx: Context, room: TreeRoom): Promise<RoomId[]> {
  const children = (await childrenOf(ctx, [room])).get(room.roomNumber) ?? []
  return children.flatMap(({ stateKey }) => parseRoomId(stateKey) ?? [])
}

interface Child {
  readonly stateKey: string
  readonly sender: string
  readonly originServerTs: number
  readonly content: JsonObject
}

/** The children of those of the rooms that are spaces, by room number. */
async function childrenOf(ctx: Context, rooms: readonly TreeRoom[]): Promise<Map<number, Child[]>> {
  const parents = rooms.flatMap(({ roomNumber, hasChildren }) => (hasChildren ? [roomNumber] : []))
  const created = await stateOfRooms(ctx.db.kysely, ctx.numbers, parents, ['m.room.create'])
  const isSpace = (number: number) => created.get(number)?.get('m.room.create')?.event.content['type'] === 'm.space'
  const events = await childEvents(ctx.db.kysely, ctx.numbers, parents.filter(isSpace))
  return new Map([...events].map(([number, stored]) => [number, inOrder(stored)]))
}

/** The children that child events make, those with an order first. https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space */
function inOrder(events: readonly StoredEvent[]): Child[] {
  const children = events.flatMap(({ event: { stateKey, sender, originServerTs, content } }) =>
    stateKey === null || !Array.isArray(content['via']) ? [] : [{ stateKey, sender, originServerTs, content }],
  )
  const orderOf = ({ content }: Child) =>
    typeof content['order'] === 'string' && /^[\x20-\x7e]{1,50}$/.test(content['order']) ? content['order'] : null
  return children.sort((a, b) => {
    const [left, right] = [orderOf(a), orderOf(b)]
    if (left !== right) return left === null ? 1 : right === null ? -1 : left < right ? -1 : 1
    return a.originServerTs - b.originServerTs || (a.stateKey < b.stateKey ? -1 : 1)
  })
}

async function answers(ctx: Context, rooms: readonly TreeRoom[]): Promise<JsonObject[]> {
  const [described, children] = await Promise.all([
    describedRooms(ctx, rooms.map(({ roomId }) => roomId)), // prettier-ignore
    childrenOf(ctx, rooms),
  ])
  return rooms.flatMap(({ roomId, roomNumber }) => {
    const room = described.get(roomId)
    return room ? [answer(room.shown, children.get(roomNumber) ?? [])] : []
  })
}

function answer(room: DescribedRoom, children: readonly Child[]): JsonObject {
  const optional = (key: string, value: string | null) => (value === null ? {} : { [key]: value })
  return {
    room_id: room.room_id,
    num_joined_members: room.joined_members,
    world_readable: room.history_visibility === 'world_readable',
    guest_can_join: room.guest_access === 'can_join',
    room_version: room.version,
    children_state: children.map(child => ({
      type: 'm.space.child',
      state_key: child.stateKey,
      sender: child.sender,
      origin_server_ts: child.originServerTs,
      content: child.content,
    })),
    ...optional('name', room.name),
    ...optional('topic', room.topic),
    ...optional('avatar_url', room.avatar),
    ...optional('canonical_alias', room.canonical_alias),
    ...optional('join_rule', room.join_rules),
    ...optional('room_type', room.room_type),
    ...optional('encryption', room.encryption),
  }
}
