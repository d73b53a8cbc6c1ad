import { sql } from 'kysely'
import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader } from './database.ts'

/** How many rows are looked at, about: more than these are a sample. */
const sampledRows = 200_000

/** The rooms whose events take most room in the database, with how many bytes, the largest first. In a large database it is an estimate. */
export async function largestRooms(
  reader: Reader,
  limit: number,
): Promise<{ readonly roomId: RoomId; readonly bytes: number }[]> {
  const counted = await sql<{ rows: number }>`SELECT reltuples AS rows FROM pg_class WHERE oid = 'events'::regclass`.execute(reader) // prettier-ignore
  const share = Math.min(100, (100 * sampledRows) / Math.max(counted.rows[0]?.rows ?? 0, 1))
  const { rows } = await sql<{ room_id: string; bytes: number }>`SELECT r.room_id,
      (sum(pg_column_size(e.*)) * 100 / ${share}::float8)::bigint AS bytes
    FROM events e TABLESAMPLE SYSTEM (${share}::float8) JOIN rooms r USING (room_number)
    GROUP BY r.room_id ORDER BY bytes DESC, r.room_id LIMIT ${limit}`.execute(reader)
  // The column holds nothing but room IDs that were parsed before they were inserted.
  return rows.map(({ room_id: roomId, bytes }) => ({ roomId: roomId as RoomId, bytes }))
}
