import { sql } from 'kysely'
import { sealBytes } from '../privacy/seal.ts'
import { type Tx } from './database.ts'

/**
 * The seals (see `placeOf`) of all values that the tables hold, whichever column they are in, some of them more than once. What
 * merely looks like one, a hash for instance, may be among them.
 */
export async function* sealsInTables(tx: Tx): AsyncGenerator<Buffer> {
  const { rows: columns } = await sql<{ table_name: string; name: string }>`
    SELECT c.relname AS table_name, a.attname AS name
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema::regnamespace AND c.relkind = 'r' AND c.relname <> 'dead_seals'
      AND a.atttypid = 'bytea'::regtype`.execute(tx)
  for (const { table_name: table, name } of columns) {
    const column = sql.ref(name)
    // As one value: a row for each would take many times the memory.
    const { rows } = await sql<{ seals: Buffer | null }>`SELECT string_agg(seal, ''::bytea) AS seals FROM
      (SELECT DISTINCT substring(${column} FROM 1 FOR ${sql.lit(sealBytes)}) AS seal FROM ${sql.table(table)}
       WHERE octet_length(${column}) >= ${sql.lit(sealBytes)} AND get_byte(${column}, 0) = 1) found`.execute(tx)
    const all = rows[0]?.seals ?? Buffer.alloc(0)
    for (let at = 0; at < all.length; at += sealBytes) yield all.subarray(at, at + sealBytes)
  }
}

/** The names of all files that media and thumbnails refer to. */
export async function fileNamesInTables(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ file_name: string }>`SELECT file_name FROM media WHERE file_name IS NOT NULL
    UNION SELECT file_name FROM media_thumbnails`.execute(tx)
  return rows.map(row => row.file_name)
}

/** The numbers of accounts that are not erased, or not all of the way. */
export async function livingAccountNumbers(tx: Tx): Promise<number[]> {
  const { rows } = await sql<{ user_number: number }>`SELECT user_number FROM accounts a WHERE NOT is_erased
    OR EXISTS (SELECT FROM erasures e WHERE e.user_number = a.user_number AND e.finished_on IS NULL)`.execute(tx)
  return rows.map(row => row.user_number)
}
