import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tablesThatHold } from './scan.ts'
import { type WholeServer } from './whole-server.ts'

/**
 * Looks for marks in everything that a server leaves: every column of every table, the planner's statistics, the bytes of
 * every file after a checkpoint (heap, indexes, write-ahead log, media), the log. Starts the server anew for the checkpoint. For each mark that is found, by its label,
 * where. A mark must be long and random enough that no other bytes hold it, and no longer than what Postgres keeps whole.
 */
export async function scanEverything(
  server: WholeServer,
  marks: Readonly<Record<string, string>>,
): Promise<Record<string, string[]>> {
  const { db } = server.ctx
  const found: Record<string, string[]> = {}
  const note = (label: string, place: string) => (found[label] ??= []).push(place)
  for (const [label, tables] of Object.entries(await tablesThatHold(db, marks))) {
    for (const table of tables) note(label, `table ${table}`)
  }
  const { rows } = await db.pool.query<{ text: string }>('SELECT s::text AS text FROM pg_stats s')
  await server.stop()
  const files = await filesIn(server.folder)
  for (const [label, mark] of Object.entries(marks)) {
    if (rows.some(row => row.text.includes(mark))) note(label, 'statistics')
    if (server.log.some(line => line.includes(mark))) note(label, 'log')
    for (const { name, bytes } of files) {
      // Postgres writes bytes as they are; what was sent to it as text may stand there in hexadecimal digits.
      if (bytes.includes(mark) || bytes.includes(Buffer.from(mark).toString('hex'))) note(label, kindOf(name))
    }
  }
  await server.resume()
  return Object.fromEntries(Object.entries(found).map(([label, places]) => [label, [...new Set(places)].sort()]))
}

/** What kind of file it is: the numbers in the names are Postgres's own. */
function kindOf(name: string): string {
  if (name.includes('/pg_wal/')) return 'write-ahead log'
  if (name.includes('/base/')) return 'heap or index'
  return name
}

async function filesIn(folder: string, name = ''): Promise<{ name: string; bytes: Buffer }[]> {
  const files: { name: string; bytes: Buffer }[] = []
  for (const entry of await readdir(join(folder, name), { withFileTypes: true })) {
    const path = `${name}/${entry.name}`
    if (entry.isDirectory()) {
      // Programs, which hold nothing.
      if (entry.name !== 'native' && !entry.name.startsWith('postgres-')) files.push(...(await filesIn(folder, path)))
    } else if (entry.isFile()) {
      // A file may go while we look: Postgres recycles segments.
      const bytes = await readFile(join(folder, path)).catch(() => null)
      if (bytes) files.push({ name: path, bytes })
    }
  }
  return files
}
