import {
  AbortedTransactionError,
  CompiledQuery,
  Kysely,
  PostgresDialect,
  type IsolationLevel,
  type Transaction,
} from 'kysely'
import type pg from 'pg'
import { type Logger } from '../log.ts'
import { LockKeeper } from './advisory-lock.ts'
import { allowSilence, nameStatement, openClient, openPool, type Connection } from './client.ts'
import { DatabaseError, strippedError } from './database-error.ts'
import { Lineage } from './lineage.ts'
import { type Tables } from './tables.ts'

export { openClient, type Connection } from './client.ts'
export { DatabaseError } from './database-error.ts'

/** What a function that only reads takes: a `Database`'s `kysely` or a `Tx`. It has no `insertInto` and its like, so a
 *  function that writes says so in its signature. (`sql` templates and `with` could still write: both live in storage/.) */
export type Reader = Pick<
  Kysely<Tables>,
  'selectFrom' | 'selectNoFrom' | 'with' | 'withRecursive' | 'fn' | 'case' | 'getExecutor' | 'isTransaction'
>

/** An open transaction: what a function that writes takes. The pool does not satisfy it. */
export type Tx = Transaction<Tables>

/** An open database. */
export interface Database {
  /** Raw connections; errors that come out of them are `DatabaseError` already. */
  readonly pool: pg.Pool
  readonly kysely: Kysely<Tables>
  /** What it was opened with. */
  readonly connection: Connection
  /** What every connection is held to. */
  readonly lineage: Lineage
  /** What only one process may do at a time; see `whileAlone`. */
  readonly locks: LockKeeper
  /** A connection outside the pool; see `openClient`. */
  connect(options?: { readonly pipeline?: boolean }): Promise<pg.Client>
  /** Waits for running statements, then closes every connection. A second call waits for the first. */
  close(): Promise<void>
}

/** Connections a pool may open unless the settings say otherwise. */
export const DEFAULT_POOL_SIZE = 20

/** Opens a pool. Does not connect yet: the first statement does, and throws a `DatabaseError` when it cannot. */
export function openDatabase(
  connection: Connection,
  log: Logger,
  options: { readonly poolSize?: number } = {},
): Database {
  const lineage = new Lineage()
  const inspect = (client: pg.ClientBase): Promise<void> => lineage.check(client)
  const connect = (how: { readonly pipeline?: boolean } = {}) => openClient(connection, log, { ...how, inspect })
  const pool = openPool(connection, log, options.poolSize ?? DEFAULT_POOL_SIZE, inspect)
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  const hotReads = new HotReads(() => connect({ pipeline: true }))
  hotReadsOf.set(kysely, hotReads)
  const locks = new LockKeeper(() => connect({ pipeline: true }))
  let closing: Promise<void> | null = null
  return {
    pool,
    kysely,
    connection,
    lineage,
    locks,
    connect,
    close() {
      // Kysely ends the pool only if it was used.
      closing ??= Promise.all([hotReads.close(), locks.close(), pool.ending ? undefined : pool.end()]).then(
        () => undefined,
      )
      return closing
    },
  }
}

/** Times a transaction is run again after a serialisation failure or a deadlock. */
export const DEFAULT_RETRIES = 3

/**
 * Runs `work` in one transaction and returns its result once that is committed. When `work` throws, everything is rolled
 * back and the error rises. A serialisation failure or a deadlock runs `work` again, up to `retries` times, so it must not
 * have effects outside the database. Throws `DatabaseError` for every failure of the database; one that `isUnavailable`
 * may have happened during COMMIT, and then nobody knows the outcome.
 */
export async function transaction<T>(
  db: Pick<Database, 'kysely'>,
  work: (tx: Tx) => Promise<T>,
  options: { readonly retries?: number; readonly isolation?: IsolationLevel; readonly readOnly?: boolean } = {},
): Promise<T> {
  let retriesLeft = options.retries ?? DEFAULT_RETRIES
  for (;;) {
    try {
      let builder = db.kysely.transaction()
      if (options.isolation !== undefined) builder = builder.setIsolationLevel(options.isolation)
      if (options.readOnly === true) builder = builder.setAccessMode('read only')
      return await builder.execute(work)
    } catch (error) {
      const stripped = strippedError(error)
      if (!(stripped instanceof DatabaseError) || !stripped.isRetryable || retriesLeft <= 0) throw stripped
      retriesLeft -= 1
    }
  }
}

/** Lends a connection without limits of time, which is closed afterwards. Throws `DatabaseError` and what `work` throws. */
export async function patiently<T>(
  { pool }: Pick<Database, 'pool'>,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  try {
    allowSilence(client)
    await client.query('SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0')
    return await work(client)
  } finally {
    // Closing the session drops its settings, and rolls back a transaction that is open.
    client.release(true)
  }
}

/**
 * Runs `work`, once, in a transaction that may take as long as it takes. `client` is its connection, for what Kysely cannot send.
 * Throws `DatabaseError` and what `work` throws.
 */
export function patientTransaction<T>(
  db: Pick<Database, 'pool'>,
  work: (tx: Tx, client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return patiently(db, async client => {
    const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: lending(client) }) })
    try {
      return await kysely.transaction().execute(tx => work(tx, client))
    } catch (error) {
      // Whatever the connection itself throws is stripped already.
      throw error instanceof AbortedTransactionError ? strippedError(error) : error
    }
  })
}

/** A pool of one connection, which takes it back without ending it. */
function lending(client: pg.PoolClient) {
  const lent = new Proxy(client, {
    get(target, name) {
      if (name === 'release') return () => undefined
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { connect: () => Promise.resolve(lent), end: () => Promise.resolve(), options: {} }
}

/** A statement that is compiled once and prepared once per connection. */
export interface Statement<Parameters extends readonly unknown[], Row> {
  /** Runs it and returns all rows. Given `db.kysely` it goes out on the shared pipelined connection, so it must be a quick
   *  read; given a `Tx` it runs inside it. */
  run(reader: Reader, parameters: Parameters): Promise<Row[]>
  /** The first row, or null when there is none. */
  first(reader: Reader, parameters: Parameters): Promise<Row | null>
  /** For a raw connection: `client.query(statement.query([…]))`. */
  query(parameters: Parameters): { name: string; text: string; values: unknown[] }
}

/**
 * Declares a hot read. `name` is unique in the process and at most 63 characters; `text` has `$1`, `$2`, … for the
 * parameters. The types are the caller's promise about the text.
 */
export function statement<Parameters extends readonly unknown[], Row extends object>(
  name: string,
  text: string,
): Statement<Parameters, Row> {
  nameStatement(name, text)
  const run = async (reader: Reader, parameters: Parameters): Promise<Row[]> => {
    const hotReads = hotReadsOf.get(reader)
    if (hotReads !== undefined) {
      const rows = await hotReads.query(name, text, [...parameters])
      // The row type is what the declaration promises about its text; a test of each statement holds it to that.
      if (rows !== null) return rows as Row[]
    }
    const ask = async () => (await reader.getExecutor().executeQuery(CompiledQuery.raw(text, [...parameters]))).rows
    try {
      return (await ask()) as Row[] // As above.
    } catch (error) {
      // What cost the shared connection may have cost the pool's idle ones too; the pool has dropped the one it gave us.
      const isLost = error instanceof DatabaseError && error.isUnavailable
      if (!isLost || reader.isTransaction) throw error
      return (await ask()) as Row[] // As above.
    }
  }
  return {
    run,
    first: async (reader, parameters) => (await run(reader, parameters))[0] ?? null,
    query: parameters => ({ name, text, values: [...parameters] }),
  }
}

const hotReadsOf = new WeakMap<object, HotReads>()

/** One pipelined connection that all hot reads outside transactions share: three times the reads per second of a pool,
 *  because nobody waits for the answer before the next question is sent. */
class HotReads {
  readonly #open: () => Promise<pg.Client>
  #client: Promise<pg.Client> | null = null
  #closed = false

  constructor(open: () => Promise<pg.Client>) {
    this.#open = open
  }

  /** The rows, or null when the connection was lost or refused, and a second one too: then the caller asks the pool, which
   *  reads again or fails. */
  async query(name: string, text: string, values: unknown[]): Promise<object[] | null> {
    for (let triesLeft = 2; triesLeft > 0; triesLeft--) {
      const asked = this.#connected()
      try {
        const client = await asked
        if (client === null) return null
        const result = await client.query<object>({ name, text, values })
        return result.rows
      } catch (error) {
        if (!(error instanceof DatabaseError && error.isUnavailable)) throw error
        // Its end may be told of only later: the second try shall not meet it again.
        if (asked !== null && this.#client === asked) {
          this.#client = null
          asked.then(client => client.end()).catch(() => undefined)
        }
      }
    }
    return null
  }

  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client
    this.#client = null
    // A connection that never came up needs no closing; whoever asked for it was told.
    await client?.then(open => open.end()).catch(() => undefined)
  }

  #connected(): Promise<pg.Client> | null {
    if (this.#closed) return null
    if (this.#client === null) {
      const opening = this.#open()
      this.#client = opening
      const forget = (): void => {
        if (this.#client === opening) this.#client = null
      }
      opening.then(client => client.once('end', forget), forget)
    }
    return this.#client
  }
}
