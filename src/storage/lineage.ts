import { type ClientBase } from 'pg'
import { DatabaseError } from './database-error.ts'

/**
 * What changes when a database goes on from another past than the one we knew: the cluster, its timeline (a promoted standby
 * or a recovery to a point in time begins a new one), the table (a dump that was read back makes it anew). Not every role
 * and not every kind of Postgres may read all of them.
 */
const traits: readonly string[] = [
  '(SELECT system_identifier::text FROM pg_control_system())',
  // Of the log's insertion point: the control file names the new timeline only after the first checkpoint.
  'substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)',
  `'log_head'::regclass::oid::text`,
]

/** Postgres's code for a server that is a standby still. */
const inRecovery = '55000'

/**
 * Holds every connection of a process to one history of the database. What a process remembers (numbers, heads of rooms,
 * the newest part of the log) is true of that history alone, so a connection that reaches another is refused, and the
 * process is told to begin anew.
 */
export class Lineage {
  #expression: string | null = null
  #expected: string | null = null
  #isOver = false
  #tell: () => void = () => undefined

  /** Resolves when the database was found to go on from another past. */
  readonly over = new Promise<void>(resolve => (this.#tell = resolve))

  /** True from then on: nothing more may be written. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Takes the history that this connection has reached for the one that all others must reach; returns its name. */
  async begin(client: ClientBase): Promise<string> {
    const readable: string[] = []
    for (const trait of traits) if (await mayRead(client, trait)) readable.push(trait)
    this.#expression = readable.join(` || '/' || `)
    this.#expected = await this.#read(client)
    return this.#expected
  }

  /** Throws a `DatabaseError` that `isUnavailable` when the connection has reached another history than `begin` did. Before
   *  `begin`, anything will do. */
  async check(client: ClientBase): Promise<void> {
    if (this.#expected === null) return
    const found = await this.#read(client)
    if (found === this.#expected && !this.#isOver) return
    this.end()
    throw new DatabaseError('CONNECTION', null, null)
  }

  /** The history is over: commits that this process saw are gone. */
  end(): void {
    this.#isOver = true
    this.#tell()
  }

  async #read(client: ClientBase): Promise<string> {
    try {
      const { rows } = await client.query<{ lineage: string }>(`SELECT ${this.#expression} AS lineage`)
      return rows[0]?.lineage ?? ''
    } catch (error) {
      // A standby will be promoted or is not the place to be: whoever asks tries again.
      if (error instanceof DatabaseError && error.code === inRecovery) throw new DatabaseError('CONNECTION', null, null)
      throw error
    }
  }
}

async function mayRead(client: ClientBase, trait: string): Promise<boolean> {
  try {
    await client.query(`SELECT ${trait}`)
    return true
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.isUnavailable || error.code === inRecovery) throw error
    return false
  }
}
