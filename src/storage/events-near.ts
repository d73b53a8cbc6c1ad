import { sql } from 'kysely'
import { type Reader } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

/** Where an event stands in a room by time: when it was sent or came, whichever was earlier; then its position. */
export interface TimePlace {
  readonly ts: number
  readonly position: number
}

/** The place of a time itself, beyond which the walk begins. */
export function placeOfTime(ts: number, direction: 'forward' | 'backward'): TimePlace {
  return { ts, position: direction === 'forward' ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER }
}

/**
 * What stands in up to `limit` rows of a room's timeline beyond a place, the nearest first, and the place of the last row (`null`
 * if there was none). Damaged rows, and those whose key has been destroyed, are left out. Backward, so is what claims to be of a
 * later time than the place.
 */
export async function eventsNear(
  reader: Reader,
  numbers: Numbers,
  roomNumber: number,
  from: TimePlace,
  direction: 'forward' | 'backward',
  limit: number,
): Promise<{ readonly events: StoredEvent[]; readonly last: TimePlace | null }> {
  const [isBeyond, order] = direction === 'forward' ? [sql`>`, sql`ASC`] : [sql`<`, sql`DESC`]
  const claim = direction === 'forward' ? sql`` : sql`AND origin_server_ts <= ${from.ts}`
  // Of messages and of state, each by its own index, as many as are wanted; then of both.
  const nearest = (sort: 'NULL' | 'NOT NULL') => sql`(SELECT event_number FROM events
      WHERE room_number = ${roomNumber} AND state_key_number IS ${sql.raw(sort)} AND position IS NOT NULL
        AND (age_ts, position) ${isBeyond} (${from.ts}::bigint, ${from.position}::bigint) ${claim}
      ORDER BY age_ts ${order}, position ${order} LIMIT ${limit})`
  const { rows } = await sql<EventRow>`SELECT ${sql.raw(eventColumns)}
    FROM (${nearest('NULL')} UNION ALL ${nearest('NOT NULL')}) near JOIN events e USING (event_number) ${sql.raw(eventJoins)}
    ORDER BY e.age_ts ${order}, e.position ${order} LIMIT ${limit}`.execute(reader)
  const last = rows.at(-1)
  return {
    events: await storedEvents(rows, numbers),
    last: last && last.position !== null ? { ts: last.age_ts, position: last.position } : null,
  }
}
