import { type Reader, statement, type Tx } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

const selectPublic = statement<[number], { is_public: boolean }>(
  'rooms_is_public',
  'SELECT is_public FROM rooms WHERE room_number = $1',
)

/** Whether the room stands in this server's directory. */
export async function isPublished(reader: Reader, roomNumber: number): Promise<boolean> {
  return (await selectPublic.first(reader, [roomNumber]))?.is_public ?? false
}

/** Puts the room into the directory or takes it out. False if nothing changed. */
export async function setPublished(tx: Tx, roomNumber: number, isPublic: boolean): Promise<boolean> {
  const result = await tx
    .updateTable('rooms')
    .set({ is_public: isPublic })
    .where('room_number', '=', roomNumber)
    .where('is_public', '=', !isPublic)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** A room's place in the directory: the most members first, then the newest. */
export interface DirectoryPlace {
  readonly joinedCount: number
  readonly roomNumber: number
}

interface PlaceRow {
  room_number: number
  joined: number
}

const published = `SELECT r.room_number, (SELECT count(*) FROM memberships m
    WHERE m.room_number = r.room_number AND m.membership = 'join') AS joined
  FROM rooms r WHERE r.is_public`

const selectAfter = statement<[number, number, number], PlaceRow>(
  'rooms_published_after',
  `SELECT room_number, joined FROM (${published}) listed WHERE joined > 0 AND (joined, room_number) < ($1, $2)
   ORDER BY joined DESC, room_number DESC LIMIT $3`,
)
const selectBefore = statement<[number, number, number], PlaceRow>(
  'rooms_published_before',
  `SELECT room_number, joined FROM (${published}) listed WHERE joined > 0 AND (joined, room_number) > ($1, $2)
   ORDER BY joined, room_number LIMIT $3`,
)

/** A place before which no room stands. */
export const directoryStart: DirectoryPlace = { joinedCount: 2 ** 31, roomNumber: 0 }

/**
 * Up to `limit` rooms of the directory that somebody is in, walking away from a place: down the list, or up it (then the
 * nearest comes first).
 */
export async function publishedRooms(
  reader: Reader,
  from: DirectoryPlace,
  direction: 'down' | 'up',
  limit: number,
): Promise<DirectoryPlace[]> {
  const select = direction === 'down' ? selectAfter : selectBefore
  const rows = await select.run(reader, [from.joinedCount, from.roomNumber, limit])
  return rows.map(row => ({ joinedCount: row.joined, roomNumber: row.room_number }))
}

const countPublished = statement<[], { rooms: number }>(
  'rooms_published_count',
  `SELECT count(*) AS rooms FROM rooms r WHERE r.is_public
     AND EXISTS (SELECT FROM memberships m WHERE m.room_number = r.room_number AND m.membership = 'join')`,
)

/** How many rooms the directory has. */
export async function publishedCount(reader: Reader): Promise<number> {
  return (await countPublished.first(reader, []))?.rooms ?? 0
}

const selectState = statement<[readonly number[], readonly number[], number], EventRow>(
  'rooms_state_of_types',
  `SELECT ${eventColumns} FROM current_state c JOIN events e ON e.event_number = c.event_number ${eventJoins}
   WHERE c.room_number = ANY($1) AND c.type_number = ANY($2) AND c.state_key_number = $3`,
)

/** Current state events with an empty state key, of the given types, in many rooms at once: by room number, then type. */
export async function stateOfRooms(
  reader: Reader,
  numbers: Numbers,
  roomNumbers: readonly number[],
  types: readonly string[],
): Promise<Map<number, Map<string, StoredEvent>>> {
  const rooms = new Map<number, Map<string, StoredEvent>>()
  const [known, emptyKey] = await Promise.all([numbers.knownTypes(types), numbers.stateKey('')])
  if (roomNumbers.length === 0 || known.size === 0) return rooms
  const rows = await selectState.run(reader, [roomNumbers, [...known.values()], emptyKey])
  for (const stored of await storedEvents(rows, numbers)) {
    let room = rooms.get(stored.roomNumber)
    if (!room) rooms.set(stored.roomNumber, (room = new Map()))
    room.set(stored.event.type, stored)
  }
  return rooms
}
