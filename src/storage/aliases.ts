import { type RoomAlias, type RoomId } from '../protocol/identifiers.ts'
import { type Reader, statement, type Tx } from './database.ts'

/** An alias of this server, and what it stands for. */
export interface AliasRow {
  readonly roomId: RoomId
  readonly roomNumber: number
  readonly creatorNumber: number
}

const selectAlias = statement<[string], { room_id: string; room_number: number; creator_number: number }>(
  'room_aliases_find',
  `SELECT r.room_id, a.room_number, a.creator_number FROM room_aliases a JOIN rooms r USING (room_number)
   WHERE a.alias = $1`,
)

/** What an alias of this server stands for; `null` if it is free. */
export async function aliasTarget(reader: Reader, alias: RoomAlias): Promise<AliasRow | null> {
  const row = await selectAlias.first(reader, [alias])
  if (!row) return null
  // The column holds nothing but room IDs that were parsed before they were inserted.
  return { roomId: row.room_id as RoomId, roomNumber: row.room_number, creatorNumber: row.creator_number }
}

const selectAliases = statement<[number], { alias: string }>(
  'room_aliases_of_room',
  'SELECT alias FROM room_aliases WHERE room_number = $1 ORDER BY alias',
)

/** This server's aliases of a room, in order. */
export async function aliasesOf(reader: Reader, roomNumber: number): Promise<RoomAlias[]> {
  const rows = await selectAliases.run(reader, [roomNumber])
  // The column holds nothing but aliases that were parsed before they were inserted.
  return rows.map(row => row.alias as RoomAlias)
}

/** Makes an alias; false, and nothing is written, if there is one of that name. */
export async function insertAlias(
  tx: Tx,
  alias: RoomAlias,
  roomNumber: number,
  creatorNumber: number,
): Promise<boolean> {
  const result = await tx
    .insertInto('room_aliases')
    .values({ alias, room_number: roomNumber, creator_number: creatorNumber })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** Removes an alias from a room; false if it did not stand for it. */
export async function deleteAlias(tx: Tx, alias: RoomAlias, roomNumber: number): Promise<boolean> {
  const result = await tx
    .deleteFrom('room_aliases')
    .where('alias', '=', alias)
    .where('room_number', '=', roomNumber)
    .executeTakeFirst()
  return result.numDeletedRows === 1n
}

/** Lets all aliases of one room stand for another. */
export async function moveAliases(tx: Tx, fromRoomNumber: number, toRoomNumber: number): Promise<void> {
  await tx
    .updateTable('room_aliases')
    .set({ room_number: toRoomNumber })
    .where('room_number', '=', fromRoomNumber)
    .execute()
}
