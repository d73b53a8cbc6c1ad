import { type Context } from '../context.ts'
import { invalidParam } from '../errors.ts'
import { parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type RoomHead, roomHead } from '../rooms/head.ts'
import { roomDetails } from './rooms.ts'
import { knownRoom } from './room-access.ts'

/** Rooms of one tree that are walked at most. */
const walkedLimit = 2_000

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
  const root = await knownRoom(ctx, roomId)
  const walked = await walk(ctx, root, page.maxDepth ?? Infinity, start + page.limit + 1)
  const shown = walked.slice(start, start + page.limit)
  const rooms: JsonObject[] = []
  for (const head of shown) rooms.push(await answer(ctx, head))
  const end = start + shown.length
  return { rooms, ...(walked.length > end && shown.length > 0 ? { next_batch: `h${end}` } : {}) }
}

function placeOf(token: string): number {
  const place = /^h\d{1,6}$/.test(token) ? Number(token.slice(1)) : NaN
  if (!(place <= walkedLimit)) throw invalidParam('from is not a token of this endpoint')
  return place
}

/** The first `count` rooms of the tree, depth first, each once. */
async function walk(ctx: Context, root: RoomHead, maxDepth: number, count: number): Promise<RoomHead[]> {
  const seen = new Set<RoomId>()
  const found: RoomHead[] = []
  const waiting: { readonly head: RoomHead; readonly depth: number }[] = [{ head: root, depth: 0 }]
  for (let next = waiting.pop(); next && found.length < Math.min(count, walkedLimit); next = waiting.pop()) {
    const { head, depth } = next
    if (seen.has(head.facts.roomId)) continue
    seen.add(head.facts.roomId)
    found.push(head)
    if (depth >= maxDepth) continue
    for (const child of childrenOf(head).reverse()) {
      const id = parseRoomId(child.stateKey)
      const known = id === null || seen.has(id) ? null : await roomHead(ctx, id)
      if (known) waiting.push({ head: known, depth: depth + 1 })
    }
  }
  return found
}

interface Child {
  readonly stateKey: string
  readonly sender: string
  readonly originServerTs: number
  readonly content: JsonObject
}

/** The children of a space, those with an order first. https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space */
function childrenOf(head: RoomHead): Child[] {
  if (head.event('m.room.create')?.content['type'] !== 'm.space') return []
  const children = [...head.state.values()].flatMap(({ event }) => {
    const { type, stateKey, sender, originServerTs, content } = event
    if (type !== 'm.space.child' || stateKey === null || !Array.isArray(content['via'])) return []
    return [{ stateKey, sender, originServerTs, content }]
  })
  const orderOf = ({ content }: Child) =>
    typeof content['order'] === 'string' && /^[\x20-\x7e]{1,50}$/.test(content['order']) ? content['order'] : null
  return children.sort((a, b) => {
    const [left, right] = [orderOf(a), orderOf(b)]
    if (left !== right) return left === null ? 1 : right === null ? -1 : left < right ? -1 : 1
    return a.originServerTs - b.originServerTs || (a.stateKey < b.stateKey ? -1 : 1)
  })
}

async function answer(ctx: Context, head: RoomHead): Promise<JsonObject> {
  const details = await roomDetails(ctx, head.facts.roomId)
  const optional = (key: string, value: unknown) => (typeof value === 'string' ? { [key]: value } : {})
  return {
    room_id: head.facts.roomId,
    num_joined_members: details['joined_members'] ?? 0,
    world_readable: details['history_visibility'] === 'world_readable',
    guest_can_join: details['guest_access'] === 'can_join',
    room_version: head.facts.version.id,
    children_state: childrenOf(head).map(child => ({
      type: 'm.space.child',
      state_key: child.stateKey,
      sender: child.sender,
      origin_server_ts: child.originServerTs,
      content: child.content,
    })),
    ...optional('name', details['name']),
    ...optional('topic', details['topic']),
    ...optional('avatar_url', details['avatar']),
    ...optional('canonical_alias', details['canonical_alias']),
    ...optional('join_rule', details['join_rules']),
    ...optional('room_type', details['room_type']),
    ...optional('encryption', details['encryption']),
  }
}
