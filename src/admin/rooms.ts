import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../protocol/json.ts'
import { type CountedRoom, countedRooms, countJoinedDevices, countRooms } from '../storage/admin-rooms.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { stateOfRooms } from '../storage/rooms.ts'

/** What rooms may be sorted by. */
export const roomOrders = [
  'name', 'alphabetical', 'size', 'canonical_alias', 'joined_members', 'joined_local_members', 'version', 'creator',
  'encryption', 'federatable', 'public', 'join_rules', 'guest_access', 'history_visibility', 'state_events',
] as const // prettier-ignore

export type RoomOrder = (typeof roomOrders)[number]

/** A room as lists show it, in Synapse's fields. */
export interface ListedRoom extends JsonObject {
  readonly room_id: RoomId
  readonly name: string | null
  readonly canonical_alias: string | null
  readonly joined_members: number
  readonly joined_local_members: number
  readonly version: string
  readonly creator: string | null
  readonly encryption: string | null
  readonly federatable: boolean
  readonly public: boolean
  readonly join_rules: string | null
  readonly guest_access: string | null
  readonly history_visibility: string | null
  readonly state_events: number
  readonly room_type: string | null
}

const listedTypes = [
  'm.room.create', 'm.room.name', 'm.room.canonical_alias', 'm.room.encryption', 'm.room.join_rules',
  'm.room.guest_access', 'm.room.history_visibility',
] // prettier-ignore
const detailTypes = [...listedTypes, 'm.room.topic', 'm.room.avatar', 'm.room.tombstone']
const pageSize = 250
/** Names stand in events, so what is sorted by them is read first; a server with more rooms than this must be asked otherwise. */
const sortedLimit = 20_000

function textOf(event: StoredEvent | undefined, key: string): string | null {
  const value: JsonValue | undefined = event?.event.content[key]
  return typeof value === 'string' ? value : null
}

function listed(room: CountedRoom, state: ReadonlyMap<string, StoredEvent> | undefined): ListedRoom {
  const create = state?.get('m.room.create')
  return {
    room_id: room.roomId,
    name: textOf(state?.get('m.room.name'), 'name'),
    canonical_alias: textOf(state?.get('m.room.canonical_alias'), 'alias'),
    joined_members: room.joinedMembers,
    joined_local_members: room.joinedLocalMembers,
    version: room.version,
    creator: create?.event.sender ?? null,
    encryption: textOf(state?.get('m.room.encryption'), 'algorithm'),
    federatable: create?.event.content['m.federate'] !== false,
    public: room.isPublic,
    join_rules: textOf(state?.get('m.room.join_rules'), 'join_rule'),
    guest_access: textOf(state?.get('m.room.guest_access'), 'guest_access'),
    history_visibility: textOf(state?.get('m.room.history_visibility'), 'history_visibility'),
    state_events: room.stateEvents,
    room_type: textOf(create, 'type'),
  }
}

/** Which rooms. `null`: it does not matter. */
export interface RoomsWanted {
  /** Part of the name or of the alias's local part, in letters of either case, or the whole room ID. */
  readonly searchTerm: string | null
  readonly isPublic: boolean | null
  /** Whether nobody is in it. */
  readonly isEmpty: boolean | null
}

/** A page of the rooms, sorted. Throws `invalidParam` on a server that has too many to sort. */
export async function listRooms(
  ctx: Context,
  wanted: RoomsWanted,
  page: {
    readonly order: RoomOrder
    readonly direction: 'f' | 'b'
    readonly from: number
    readonly limit: number
  },
): Promise<{ readonly rooms: readonly ListedRoom[]; readonly total: number }> {
  if ((await countRooms(ctx.db.kysely)) > sortedLimit) throw invalidParam(`More than ${sortedLimit} rooms cannot be sorted`) // prettier-ignore
  // Of every room only what decides is opened; of those on the page everything.
  const types = decidingTypes(page.order, wanted)
  const found: { readonly room: CountedRoom; readonly entry: ListedRoom }[] = []
  for (let after = 0; ;) {
    const counted = await countedRooms(ctx.db.kysely, after, pageSize)
    const numbers = counted.map(({ roomNumber }) => roomNumber)
    const states = await stateOfRooms(ctx.db.kysely, ctx.numbers, numbers, types)
    for (const room of counted) {
      const entry = listed(room, states.get(room.roomNumber))
      if (matches(entry, wanted)) found.push({ room, entry })
    }
    const last = counted.at(-1)
    if (!last || counted.length < pageSize) break
    after = last.roomNumber
  }
  const compare = comparison(page.order, page.direction)
  found.sort((left, right) => compare(left.entry, right.entry))
  const shown = found.slice(page.from, page.from + page.limit).map(({ room }) => room)
  const numbers = shown.map(({ roomNumber }) => roomNumber)
  const states = await stateOfRooms(ctx.db.kysely, ctx.numbers, numbers, listedTypes)
  return { rooms: shown.map(room => listed(room, states.get(room.roomNumber))), total: found.length }
}

/** The state that the order of rooms, and which of them are wanted, depend on. */
function decidingTypes(order: RoomOrder, { searchTerm }: RoomsWanted): readonly string[] {
  const ofOrder: Partial<Record<RoomOrder, string>> = {
    name: 'm.room.name', alphabetical: 'm.room.name', canonical_alias: 'm.room.canonical_alias',
    creator: 'm.room.create', federatable: 'm.room.create', encryption: 'm.room.encryption',
    join_rules: 'm.room.join_rules', guest_access: 'm.room.guest_access',
    history_visibility: 'm.room.history_visibility',
  } // prettier-ignore
  return [ofOrder[order] ?? [], searchTerm === null ? [] : ['m.room.name', 'm.room.canonical_alias']].flat()
}

function matches(room: ListedRoom, { searchTerm, isPublic, isEmpty }: RoomsWanted): boolean {
  if (isPublic !== null && room.public !== isPublic) return false
  if (isEmpty !== null && (room.joined_members === 0) !== isEmpty) return false
  if (searchTerm === null) return true
  const term = searchTerm.toLowerCase()
  const localAlias = room.canonical_alias?.split(':')[0]?.slice(1) ?? ''
  return (
    room.room_id === searchTerm ||
    (room.name ?? '').toLowerCase().includes(term) ||
    localAlias.toLowerCase().includes(term)
  )
}

/** Numbers stand in falling order, as Synapse has them, everything else in rising; what is absent comes first. */
function comparison(order: RoomOrder, direction: 'f' | 'b'): (a: ListedRoom, b: ListedRoom) => number {
  const key = order === 'alphabetical' ? 'name' : order === 'size' ? 'joined_members' : order
  const sign = direction === 'b' ? -1 : 1
  return (a, b) => {
    const [left, right] = [a[key], b[key]]
    const compared =
      typeof left === 'number' && typeof right === 'number'
        ? right - left
        : compareTexts(String(left ?? ''), String(right ?? ''))
    return sign * (compared === 0 ? compareTexts(a.room_id, b.room_id) : compared)
  }
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A room as it is shown by itself, in Synapse's fields, but for the devices in it. */
export interface DescribedRoom extends ListedRoom {
  readonly topic: string | null
  readonly avatar: string | null
  readonly forgotten: boolean
  readonly tombstoned: boolean
  readonly replacement_room: string | null
}

/** Those of the rooms that there are, by ID; at most 250 at a time. */
export async function describedRooms(
  ctx: Context,
  roomIds: readonly RoomId[],
): Promise<Map<RoomId, { readonly roomNumber: number; readonly shown: DescribedRoom }>> {
  const counted = await countedRooms(ctx.db.kysely, 0, pageSize, roomIds)
  const numbers = counted.map(({ roomNumber }) => roomNumber)
  const states = await stateOfRooms(ctx.db.kysely, ctx.numbers, numbers, detailTypes)
  return new Map(
    counted.map(room => {
      const state = states.get(room.roomNumber)
      const tombstone = state?.get('m.room.tombstone')
      const shown = {
        ...listed(room, state),
        topic: textOf(state?.get('m.room.topic'), 'topic'),
        avatar: textOf(state?.get('m.room.avatar'), 'url'),
        forgotten: room.joinedLocalMembers === 0,
        tombstoned: tombstone !== undefined,
        replacement_room: textOf(tombstone, 'replacement_room'),
      }
      return [room.roomId, { roomNumber: room.roomNumber, shown }]
    }),
  )
}

/** One room with all that is told of it. Throws `notFound`. */
export async function roomDetails(ctx: Context, roomId: RoomId): Promise<JsonObject> {
  const room = (await describedRooms(ctx, [roomId])).get(roomId)
  if (!room) throw notFound('Room not found')
  return { ...room.shown, joined_local_devices: await countJoinedDevices(ctx.db.kysely, room.roomNumber) }
}
