import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

const childType = 'm.space.child'
/** Children of one space that are read at most. */
const childLimit = 5_000

const selectChildren = statement<[readonly number[], number, number], EventRow>(
  'space_children_events',
  `SELECT ${eventColumns} FROM unnest($1::integer[]) AS w (room_number)
   CROSS JOIN LATERAL (SELECT s.event_number FROM current_state s
     WHERE s.room_number = w.room_number AND s.type_number = $2 ORDER BY s.state_key_number LIMIT $3) c
   JOIN events e ON e.event_number = c.event_number ${eventJoins}`,
)

/** The current child events of rooms, by room number, in no particular order; of a room that has more than 5,000, some. */
export async function childEvents(
  reader: Reader,
  numbers: Numbers,
  roomNumbers: readonly number[],
): Promise<Map<number, StoredEvent[]>> {
  const typeNumber = (await numbers.knownTypes([childType])).get(childType)
  if (typeNumber === undefined || roomNumbers.length === 0) return new Map()
  const rows = await selectChildren.run(reader, [roomNumbers, typeNumber, childLimit])
  return Map.groupBy(await storedEvents(rows, numbers), ({ roomNumber }) => roomNumber)
}

const selectPlaces = statement<
  [readonly RoomId[], number | null],
  { room_id: string; room_number: number; has_children: boolean }
>(
  'space_children_rooms',
  `SELECT r.room_id, r.room_number, EXISTS (SELECT FROM current_state s
     WHERE s.room_number = r.room_number AND s.type_number = $2) AS has_children
   FROM rooms r WHERE r.room_id = ANY($1)`,
)

/** Those of the rooms that this server knows, and whether there are child events in them. */
export async function roomsInTree(
  reader: Reader,
  numbers: Numbers,
  roomIds: readonly RoomId[],
): Promise<Map<RoomId, { readonly roomNumber: number; readonly hasChildren: boolean }>> {
  if (roomIds.length === 0) return new Map()
  const typeNumber = (await numbers.knownTypes([childType])).get(childType) ?? null
  const rows = await selectPlaces.run(reader, [roomIds, typeNumber])
  // The column holds nothing but room IDs that were parsed before they were inserted.
  return new Map(rows.map(row => [row.room_id as RoomId, { roomNumber: row.room_number, hasChildren: row.has_children }])) // prettier-ignore
}
