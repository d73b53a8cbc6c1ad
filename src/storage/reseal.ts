import { sql } from 'kysely'
import { sealLayout } from '../privacy/seal.ts'
import { type Reader, type Tx } from './database.ts'
import { isSealedSql } from './keyring-row.ts'
import { type RowText } from './own-rows.ts'

/** A column that holds sealed values, with those that say whose they are. */
export interface SealedColumn {
  readonly table: string
  readonly column: string
  readonly others: readonly string[]
}

/** A sealed value where it lies. */
export interface SealedRow {
  /** Where the row is, as Postgres says it. */
  readonly tid: string
  readonly sealed: Buffer
  readonly row: RowText
}

/** How many blocks a table has; what is written meanwhile may come behind them. */
export async function blocksOf(reader: Reader, table: string): Promise<number> {
  const { rows } = await sql<{ blocks: number }>`SELECT
    (pg_relation_size(${table}::regclass) / current_setting('block_size')::bigint)::integer AS blocks`.execute(reader)
  return rows[0]?.blocks ?? 0
}

/** The values that lie in the blocks from `start` up to, not including, `end`, and are sealed under the keys of a generation. */
export async function sealedRowsIn(
  reader: Reader,
  { table, column, others }: SealedColumn,
  generation: number,
  start: number,
  end: number,
): Promise<SealedRow[]> {
  const value = sql.ref(`t.${column}`)
  const { rows } = await sql<{ tid: string; sealed: Buffer; row_values: (string | null)[] }>`SELECT t.ctid::text AS tid,
      ${value} AS sealed, ARRAY[${sql.join(others.map(other => sql`${sql.ref(`t.${other}`)}::text`))}]::text[] AS row_values
    FROM ${sql.table(table)} AS t
    WHERE t.ctid >= ${`(${start},0)`}::tid AND t.ctid < ${`(${end},0)`}::tid
      AND ${sql.raw(isSealedSql(`t.${column}`))} AND get_byte(${value}, ${sql.lit(sealLayout.generation)}) = ${generation}`.execute(
    reader,
  )
  return rows.map(({ tid, sealed, row_values: values }) => ({
    tid,
    sealed,
    row: Object.fromEntries(others.map((other, index) => [other, values[index] ?? null])),
  }))
}

/** Puts other values in the place of these. */
export async function replaceSealed(
  tx: Tx,
  { table, column }: SealedColumn,
  rows: readonly { readonly tid: string; readonly sealed: Buffer }[],
): Promise<void> {
  if (rows.length === 0) return
  await sql`UPDATE ${sql.table(table)} AS t SET ${sql.id(column)} = new.sealed
    FROM unnest(${rows.map(({ tid }) => tid)}::text[]::tid[], ${rows.map(({ sealed }) => sealed)}::bytea[]) AS new (tid, sealed)
    WHERE t.ctid = new.tid`.execute(tx)
}
