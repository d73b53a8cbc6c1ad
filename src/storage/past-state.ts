import { type Database, statement } from './database.ts'
import { eventColumns, eventJoins, type EventRow, eventsByNumber, storedEvent } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers, type RoomFacts } from './numbers.ts'

const selectHolders = statement<[number, number], { event_number: number | null }>(
  'past_state_all',
  `SELECT DISTINCT ON (type_number, state_key_number) event_number FROM state_changes
   WHERE room_number = $1 AND position <= $2 ORDER BY type_number, state_key_number, position DESC`,
)

/** A room's state as it was after the log position, in no particular order. */
export async function stateAt(
  db: Database,
  numbers: Numbers,
  room: RoomFacts,
  position: number,
): Promise<StoredEvent[]> {
  const holders = await selectHolders.run(db.kysely, [room.roomNumber, position])
  return eventsByNumber(
    db.kysely,
    numbers,
    holders.flatMap(({ event_number: number }) => number ?? []),
  )
}

const selectHolder = statement<[number, number, number, number], EventRow>(
  'past_state_one',
  `SELECT ${eventColumns} FROM (SELECT event_number FROM state_changes
     WHERE room_number = $1 AND position <= $2 AND type_number = $3 AND state_key_number = $4
     ORDER BY position DESC LIMIT 1) holder
   JOIN events e USING (event_number) ${eventJoins}`,
)

/** The event that held a pair of a room's state after the log position; `null` if none did. */
export async function stateEventAt(
  db: Database,
  numbers: Numbers,
  room: RoomFacts,
  position: number,
  type: string,
  stateKey: string,
): Promise<StoredEvent | null> {
  const [typeNumber, stateKeyNumber] = await Promise.all([
    numbers.knownTypes([type]).then(known => known.get(type)),
    numbers.knownStateKeys([stateKey]).then(known => known.get(stateKey)),
  ])
  if (typeNumber === undefined || stateKeyNumber === undefined) return null
  const row = await selectHolder.first(db.kysely, [room.roomNumber, position, typeNumber, stateKeyNumber])
  return row && storedEvent(row, room, numbers.sealer)
}
