import pg from 'pg'
import { type TestDatabase } from '../harness/database.ts'

/** Dictionaries and notes, which may gain rows whatever becomes of the request that asked for them. */
const notCounted = new Set(['schema_migrations', 'users', 'event_types', 'state_keys', 'log_days', 'server', 'unreferenced_files']) // prettier-ignore

/** How many rows each table holds, and where the log stands. */
export type Counts = Readonly<Record<string, number>>

/** Counts the rows of a database, on a connection of its own. */
export class TableCounter {
  readonly #client: pg.Client
  #query = ''

  private constructor(client: pg.Client) {
    this.#client = client
  }

  static async open(database: TestDatabase): Promise<TableCounter> {
    const counter = new TableCounter(new pg.Client({ connectionString: database.url }))
    await counter.#client.connect()
    const { rows } = await counter.#client.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`,
    )
    const tables = rows.map(({ name }) => name).filter(name => !notCounted.has(name) && name !== 'log_head')
    counter.#query = [
      ...tables.map(name => `SELECT '${name}' AS name, count(*)::integer AS count FROM ${name}`),
      `SELECT 'log_head', position::integer FROM log_head`,
    ].join(' UNION ALL ')
    return counter
  }

  async count(): Promise<Counts> {
    const { rows } = await this.#client.query<{ name: string; count: number }>(this.#query)
    return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
  }

  async run(statement: string): Promise<void> {
    await this.#client.query(statement)
  }

  close(): Promise<void> {
    return this.#client.end()
  }
}

/** What has changed: tables that have as many rows as before are left out. */
export function difference(before: Counts, after: Counts): Counts {
  return Object.fromEntries(
    Object.entries(after).flatMap(([name, count]) => {
      const more = count - (before[name] ?? 0)
      return more === 0 ? [] : [[name, more]]
    }),
  )
}
