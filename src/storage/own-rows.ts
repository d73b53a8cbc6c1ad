import { type RawBuilder, sql } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type Inventory, type TableEntry, type Way } from '../privacy/inventory.ts'
import { type Reader, type Tx } from './database.ts'
import { sealOfSql } from './keyring-row.ts'

/** Whose rows are wanted. */
export interface Owner {
  readonly userId: UserId
  readonly userNumber: number
}

/** A row as Postgres writes it: every value as text, `null` where there is none. */
export type RowText = Readonly<Record<string, string | null>>

/** Rows that can be gone on from: `last` is the key of the last of them. */
export interface OwnRowsPage {
  readonly rows: readonly RowText[]
  readonly last: readonly string[] | null
}

/** What the inventory says of a table. The table and its columns are names in the code, never anybody's input. */
function entryOf(inventory: Inventory, table: keyof Inventory): TableEntry {
  return inventory[table]
}

/** The condition under which a row of `table` (called `alias` in the statement) is the owner's. */
function isOwn(inventory: Inventory, table: keyof Inventory, alias: string, owner: Owner): RawBuilder<boolean> {
  const ways = entryOf(inventory, table).ways ?? []
  return sql`(${sql.join(
    ways.map(way => followed(inventory, alias, owner, way)),
    sql` OR `,
  )})`
}

/** The condition under which a text is a user ID or has it in it, as some state keys do. */
export function namesUser(column: RawBuilder<unknown>, userId: UserId): RawBuilder<boolean> {
  // What follows the ID must not be more of another server's name.
  return sql`(strpos(${column}, ${userId}) > 0
    AND substr(${column}, strpos(${column}, ${userId}) + length(${userId}), 1) !~ '[A-Za-z0-9.:-]')`
}

function followed(inventory: Inventory, alias: string, owner: Owner, way: Way): RawBuilder<boolean> {
  if ('number' in way) return sql`${sql.ref(`${alias}.${way.number}`)} = ${owner.userNumber}`
  if ('name' in way) {
    return namesUser(sql.ref(`${alias}.${way.name}`), owner.userId)
  }
  const inner = `${alias}_${way.to}`
  return sql`${sql.ref(`${alias}.${way.refers}`)} IN (SELECT ${sql.ref(`${inner}.${way.by}`)}
    FROM ${sql.table(way.to)} AS ${sql.id(inner)} WHERE ${isOwn(inventory, way.to, inner, owner)})`
}

/** How many rows of a table are the owner's. The table must have ways to them. */
export async function countOwnRows(
  reader: Reader,
  inventory: Inventory,
  table: keyof Inventory,
  owner: Owner,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM ${sql.table(table)} AS t
    WHERE ${isOwn(inventory, table, 't', owner)}`.execute(reader)
  return rows[0]?.count ?? 0
}

/**
 * Up to `limit` of the owner's rows, in the order of the table's primary key, after the row with the key `after`; those
 * columns only that are named. No connection and no snapshot is held between two pages.
 */
export async function ownRows(
  reader: Reader,
  inventory: Inventory,
  table: keyof Inventory,
  columns: readonly string[],
  owner: Owner,
  after: readonly string[] | null,
  limit: number,
): Promise<OwnRowsPage> {
  const key = await primaryKey(reader, table)
  const keyColumns = sql.join(key.map(({ column }) => sql.ref(`t.${column}`)))
  const isAfter =
    after === null
      ? sql`true`
      : sql`(${keyColumns}) > (${sql.join(key.map(({ type }, index) => sql`${after[index] ?? null}::text::${sql.raw(type)}`))})`
  const { rows } = await sql<{ row_key: string[]; row_values: (string | null)[] }>`SELECT
      ARRAY[${sql.join(key.map(({ column }) => sql`${sql.ref(`t.${column}`)}::text`))}] AS row_key,
      ARRAY[${sql.join(columns.map(column => sql`${sql.ref(`t.${column}`)}::text`))}]::text[] AS row_values
    FROM ${sql.table(table)} AS t WHERE ${isOwn(inventory, table, 't', owner)} AND ${isAfter}
    ORDER BY ${keyColumns} LIMIT ${limit}`.execute(reader)
  return {
    rows: rows.map(row => Object.fromEntries(columns.map((column, index) => [column, row.row_values[index] ?? null]))),
    last: rows.length < limit ? null : (rows.at(-1)?.row_key ?? null),
  }
}

/** Columns that are sealed neither under the account's key, which is destroyed as a whole, nor in files. */
const sealedByThemselves: Readonly<Partial<Record<keyof Inventory, string>>> = { reports: 'reason' }

/**
 * Deletes up to `limit` of the owner's rows of a table; where they are sealed under keys of their own, those are to be
 * destroyed. Returns how many there were.
 */
export async function deleteOwnRows(
  tx: Tx,
  inventory: Inventory,
  table: keyof Inventory,
  owner: Owner,
  limit: number,
): Promise<number> {
  const column = sealedByThemselves[table]
  const seal = column === undefined ? sql<null>`NULL::bytea` : sql`${sql.raw(sealOfSql(column))}`
  const { rows } = await sql<{ count: number }>`WITH own AS (DELETE FROM ${sql.table(table)} WHERE ctid = ANY (ARRAY(
      SELECT t.ctid FROM ${sql.table(table)} AS t WHERE ${isOwn(inventory, table, 't', owner)} LIMIT ${limit}))
      RETURNING ${seal} AS seal),
    dead AS (INSERT INTO dead_seals SELECT seal FROM own WHERE seal IS NOT NULL ON CONFLICT DO NOTHING)
    SELECT count(*) AS count FROM own`.execute(tx)
  return rows[0]?.count ?? 0
}

interface KeyColumn {
  readonly column: string
  /** Postgres's name of the type. */
  readonly type: string
}

/** The columns of a table's primary key, in its order. Every table has one. */
async function primaryKey(reader: Reader, table: string): Promise<readonly KeyColumn[]> {
  const { rows } = await sql<{
    column: string
    type: string
  }>`SELECT a.attname AS column, format_type(a.atttypid, NULL) AS type
    FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (number, place)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = ${table}::regclass AND i.indisprimary ORDER BY k.place`.execute(reader)
  if (rows.length === 0) throw new Error('A table has no primary key')
  return rows
}
