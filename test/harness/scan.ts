import { type Database } from '../../src/storage/database.ts'

/**
 * Looks for texts in every column of every row of every table: for each that is found, by its label, the tables that hold it.
 * Bytes are seen as they are and as hexadecimal digits: what is sealed hides what it holds, so whoever wants to see what stands
 * in a table starts a server that does not seal. The predecessors that an event cites are not looked at: they are in its hash, so an event
 * that is kept goes on naming them.
 */
export async function tablesThatHold(
  db: Pick<Database, 'pool'>,
  texts: Readonly<Record<string, string>>,
): Promise<Record<string, string[]>> {
  const tables = await db.pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`,
  )
  const found: Record<string, string[]> = {}
  for (const { name } of tables.rows) {
    const { rows } = await db.pool.query<{ text: string }>(`SELECT t::text AS text FROM "${name}" AS t`)
    const stripped = rows.map(row => seen(row.text).replace(/"prev_events":\[.*?\](?=,)/g, ''))
    for (const [label, text] of Object.entries(texts)) {
      if (stripped.some(row => row.includes(text))) found[label] = [...(found[label] ?? []), name]
    }
  }
  return found
}

/** The text of a row with its bytes as text behind it. */
function seen(row: string): string {
  const bytes = [...row.matchAll(/\\x([0-9a-f]+)/g)].map(([, digits = '']) => Buffer.from(digits, 'hex').toString())
  return [row, ...bytes].join(' ')
}
