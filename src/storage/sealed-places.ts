import { sql } from 'kysely'
import { sealBytes } from '../privacy/seal.ts'
import { type Tx } from './database.ts'
import { isSealedSql, sealPartSql } from './keyring-row.ts'
import { sealedColumns } from './open-own-rows.ts'
import { blocksOf } from './reseal.ts'

/** How much of a table one statement looks at: 8 MiB. */
const blocksAtOnce = 1_024

/** The seals (see `placeOf`) of all values that the tables hold; some of them more than once. */
export async function* sealsInTables(tx: Tx): AsyncGenerator<Buffer> {
  for (const name of Object.keys(sealedColumns)) {
    const [table = '', column = ''] = name.split('.')
    const blocks = await blocksOf(tx, table)
    for (let start = 0; start < blocks; start += blocksAtOnce) {
      const all = await sealsIn(tx, table, column, start, start + blocksAtOnce)
      for (let at = 0; at < all.length; at += sealBytes) yield all.subarray(at, at + sealBytes)
    }
  }
}

/** The seals in the blocks from `start` up to, not including, `end`, one after the other: a row for each would take many times the memory. */
async function sealsIn(tx: Tx, table: string, column: string, start: number, end: number): Promise<Buffer> {
  const value = `t.${column}`
  const { rows } = await sql<{ seals: Buffer | null }>`SELECT string_agg(seal, ''::bytea) AS seals FROM
    (SELECT DISTINCT ${sql.raw(sealPartSql(value))} AS seal FROM ${sql.table(table)} AS t
     WHERE t.ctid >= ${`(${start},0)`}::tid AND t.ctid < ${`(${end},0)`}::tid AND ${sql.raw(isSealedSql(value))}) found`.execute(
    tx,
  )
  return rows[0]?.seals ?? Buffer.alloc(0)
}

/** The names of all files that media and thumbnails refer to, in their order, as `file_name`. */
export const fileNamesSql = `SELECT file_name FROM media WHERE file_name IS NOT NULL
  UNION SELECT file_name FROM media_thumbnails ORDER BY file_name`

export async function fileNamesInTables(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ file_name: string }>`${sql.raw(fileNamesSql)}`.execute(tx)
  return rows.map(row => row.file_name)
}

/** The numbers of the accounts that are closed, and of those among them that are erased or are being erased. */
export async function closedAccounts(tx: Tx): Promise<{ readonly closed: number[]; readonly erased: number[] }> {
  const { rows } = await sql<{ user_number: number; is_erased: boolean }>`SELECT user_number, is_erased FROM accounts
    WHERE is_deactivated`.execute(tx)
  const numbers = (some: typeof rows) => some.map(row => row.user_number)
  return { closed: numbers(rows), erased: numbers(rows.filter(row => row.is_erased)) }
}
