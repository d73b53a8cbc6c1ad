import { type Reader, statement } from './database.ts'
import { eventsByNumber } from './events.ts'
import { type StateChange, type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'
import { type EventKey, eventKeyColumns, loadEvents } from './sync-events.ts'
import { type RoomSpan } from './sync-timelines.ts'

/** A change of a room's state, and when it came about. */
export interface PlacedStateChange extends StateChange {
  readonly position: number
}

const changes = statement<
  [readonly number[], readonly number[], readonly number[]],
  {
    room_number: number
    position: number
    type: string
    state_key: string
    event_number: number | null
    replaced: number | null
  }
>(
  'sync_state_changes',
  `SELECT c.room_number, c.position, y.type, k.state_key, c.event_number,
     (SELECT p.event_number FROM state_changes p WHERE p.room_number = c.room_number AND p.type_number = c.type_number
       AND p.state_key_number = c.state_key_number AND p.position < c.position ORDER BY p.position DESC LIMIT 1) AS replaced
   FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS w (room_number, after, up_to)
   JOIN state_changes c ON c.room_number = w.room_number AND c.position > w.after AND c.position <= w.up_to
   JOIN event_types y USING (type_number) JOIN state_keys k USING (state_key_number)
   ORDER BY c.position`,
)

/** Every change of the rooms' state within the spans, oldest first, by room number. */
export async function stateChangesWithin(
  reader: Reader,
  numbers: Numbers,
  spans: readonly RoomSpan[],
): Promise<Map<number, PlacedStateChange[]>> {
  const found = new Map<number, PlacedStateChange[]>()
  if (spans.length === 0) return found
  const rows = await changes.run(reader, [
    spans.map(span => span.roomNumber),
    spans.map(span => span.after),
    spans.map(span => span.upTo),
  ])
  const wanted = new Set(rows.flatMap(row => [row.event_number, row.replaced]).filter(number => number !== null))
  const events = new Map(
    (await eventsByNumber(reader, numbers, [...wanted])).map(event => [event.eventNumber, event] as const),
  )
  const eventOf = (number: number | null): StoredEvent | null => (number === null ? null : (events.get(number) ?? null))
  for (const row of rows) {
    const change = {
      position: row.position,
      type: row.type,
      stateKey: row.state_key,
      event: eventOf(row.event_number),
      replaced: eventOf(row.replaced),
    }
    const ofRoom = found.get(row.room_number)
    if (ofRoom) ofRoom.push(change)
    else found.set(row.room_number, [change])
  }
  return found
}

/** A room's state as it was at a position. */
export interface RoomMoment {
  readonly roomNumber: number
  readonly position: number
}

// The current state, with the pairs that changed afterwards put back to what held them then. One statement, so that the two
// halves are of one moment, whatever is committed meanwhile.
const statesAt = (name: string, current: string, changed: string) =>
  statement<[readonly number[], readonly number[]], EventKey>(
    name,
    `WITH w AS (SELECT * FROM unnest($1::integer[], $2::bigint[]) AS w (room_number, position)),
       later AS (SELECT DISTINCT s.room_number, s.type_number, s.state_key_number, w.position FROM w
         JOIN state_changes s ON s.room_number = w.room_number AND s.position > w.position),
       held AS (
         SELECT c.event_number FROM w JOIN current_state c ON c.room_number = w.room_number
         WHERE NOT EXISTS (SELECT FROM later l WHERE l.room_number = c.room_number AND l.type_number = c.type_number
           AND l.state_key_number = c.state_key_number) AND ${current}
         UNION ALL
         SELECT p.event_number FROM later l CROSS JOIN LATERAL (
           SELECT s.event_number FROM state_changes s WHERE s.room_number = l.room_number
             AND s.type_number = l.type_number AND s.state_key_number = l.state_key_number AND s.position <= l.position
           ORDER BY s.position DESC LIMIT 1) p WHERE p.event_number IS NOT NULL AND ${changed})
     SELECT ${eventKeyColumns} FROM held JOIN events e ON e.event_number = held.event_number`,
  )

const wholeStates = statesAt('sync_states', 'true', 'true')
const notMember = (alias: string) =>
  `${alias}.type_number <> (SELECT type_number FROM event_types WHERE type = 'm.room.member')`
const memberlessStates = statesAt('sync_states_memberless', notMember('c'), notMember('l'))

/** The rooms' states as they were at the positions, by room number; `withMembers` false leaves all member events out. */
export async function statesOf(
  reader: Reader,
  numbers: Numbers,
  moments: readonly RoomMoment[],
  withMembers: boolean,
): Promise<Map<number, StoredEvent[]>> {
  const found = new Map<number, StoredEvent[]>()
  if (moments.length === 0) return found
  const rows = await (withMembers ? wholeStates : memberlessStates).run(reader, [
    moments.map(moment => moment.roomNumber),
    moments.map(moment => moment.position),
  ])
  for (const event of (await loadEvents(reader, numbers, rows)).values()) {
    const ofRoom = found.get(event.roomNumber)
    if (ofRoom) ofRoom.push(event)
    else found.set(event.roomNumber, [event])
  }
  return found
}

const members = statement<[readonly number[], readonly number[], readonly number[]], EventKey>(
  'sync_members',
  `SELECT ${eventKeyColumns}
   FROM unnest($1::integer[], $2::integer[], $3::bigint[]) AS w (room_number, state_key_number, position)
   CROSS JOIN LATERAL (SELECT s.event_number FROM state_changes s WHERE s.room_number = w.room_number
     AND s.type_number = (SELECT type_number FROM event_types WHERE type = 'm.room.member')
     AND s.state_key_number = w.state_key_number AND s.position <= w.position ORDER BY s.position DESC LIMIT 1) held
   JOIN events e ON e.event_number = held.event_number`,
)

/** The member events that the users had in the rooms at the positions; in no particular order. */
export async function membersAt(
  reader: Reader,
  numbers: Numbers,
  wanted: readonly { readonly roomNumber: number; readonly userId: string; readonly position: number }[],
): Promise<StoredEvent[]> {
  if (wanted.length === 0) return []
  const keys = await numbers.knownStateKeys(wanted.map(each => each.userId))
  const known = wanted.flatMap(each => {
    const stateKeyNumber = keys.get(each.userId)
    return stateKeyNumber === undefined ? [] : [{ ...each, stateKeyNumber }]
  })
  const rows = await members.run(reader, [
    known.map(each => each.roomNumber),
    known.map(each => each.stateKeyNumber),
    known.map(each => each.position),
  ])
  return [...(await loadEvents(reader, numbers, rows)).values()]
}
