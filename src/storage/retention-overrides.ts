import { type RoomId } from '../protocol/identifiers.ts'
import { type Lifetime } from '../protocol/retention.ts'
import { type Reader, statement, type Tx } from './database.ts'

interface OverrideRow {
  room_number: number
  max_lifetime: number | null
  min_lifetime: number | null
}

const overridesOf = statement<[readonly number[]], OverrideRow>(
  'retention_overrides_of',
  'SELECT room_number, max_lifetime, min_lifetime FROM retention_overrides WHERE room_number = ANY($1)',
)

/** The policies that an administrator set for the rooms, by room number; rooms without one are left out. */
export async function retentionOverridesOf(
  reader: Reader,
  roomNumbers: readonly number[],
): Promise<Map<number, Lifetime>> {
  if (roomNumbers.length === 0) return new Map()
  const rows = await overridesOf.run(reader, [roomNumbers])
  return new Map(rows.map(row => [row.room_number, { maxLifetime: row.max_lifetime, minLifetime: row.min_lifetime }]))
}

/** The policy that an administrator set for the room, or `null`. */
export async function retentionOverrideOf(reader: Reader, roomNumber: number): Promise<Lifetime | null> {
  return (await retentionOverridesOf(reader, [roomNumber])).get(roomNumber) ?? null
}

const allOverrides = statement<[number, number], OverrideRow & { room_id: string }>(
  'retention_overrides_all',
  `SELECT o.room_number, o.max_lifetime, o.min_lifetime, r.room_id FROM retention_overrides o JOIN rooms r USING (room_number)
   WHERE o.room_number > $1 ORDER BY o.room_number LIMIT $2`,
)

/** A room with the policy that an administrator set for it. */
export interface RetentionOverride {
  readonly roomNumber: number
  readonly roomId: RoomId
  readonly lifetime: Lifetime
}

/** Up to `limit` rooms with a policy of an administrator's, those after a room number, in the order of their numbers. */
export async function retentionOverridesAfter(
  reader: Reader,
  after: number,
  limit: number,
): Promise<RetentionOverride[]> {
  const rows = await allOverrides.run(reader, [after, limit])
  return rows.map(row => ({
    roomNumber: row.room_number,
    // The column holds nothing but room IDs that were parsed before they were inserted.
    roomId: row.room_id as RoomId,
    lifetime: { maxLifetime: row.max_lifetime, minLifetime: row.min_lifetime },
  }))
}

/** Sets the room's policy, over whatever stood there. */
export async function putRetentionOverride(tx: Tx, roomNumber: number, lifetime: Lifetime): Promise<void> {
  const values = { max_lifetime: lifetime.maxLifetime, min_lifetime: lifetime.minLifetime }
  await tx
    .insertInto('retention_overrides')
    .values({ room_number: roomNumber, ...values })
    .onConflict(conflict => conflict.column('room_number').doUpdateSet(values))
    .execute()
}

/** False if there was none. */
export async function deleteRetentionOverride(tx: Tx, roomNumber: number): Promise<boolean> {
  const result = await tx.deleteFrom('retention_overrides').where('room_number', '=', roomNumber).executeTakeFirst()
  return result.numDeletedRows === 1n
}
