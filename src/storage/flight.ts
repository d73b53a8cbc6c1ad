import pg from 'pg'
import { strippedError } from './database-error.ts'
import { type Query } from './log-announcements.ts'

/** The rows of a statement, as Postgres writes their columns. */
export type TextRows = readonly (readonly (string | null)[])[]

/**
 * Runs statements in one transaction that is sent in one write and answered in one: all of them before a single Sync, which
 * commits. Returns the rows of each once they are durable; when one fails nothing is written, and its error is thrown. The
 * client must not pipeline. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export function runFlight(client: pg.Client, queries: readonly Query[]): Promise<readonly TextRows[]> {
  return new Promise((resolve, reject) => {
    client.query(new Flight(queries, resolve, reject))
  })
}

/** What is used of node-pg's connection, whose declared type leaves it out. */
interface Wire extends pg.Connection {
  readonly submittedNamedStatements: Record<string, string | undefined>
  sync(): void
}

interface Message {
  readonly fields: readonly (string | null)[]
}

/** A query object of node-pg's that stands for several statements: its callbacks are those that `pg.Client` calls. */
class Flight implements pg.Submittable {
  readonly #statements: readonly (Query & { readonly query: pg.Query })[]
  readonly #rows: (readonly (string | null)[])[][]
  readonly #resolve: (rows: readonly TextRows[]) => void
  readonly #reject: (error: unknown) => void
  /** How many statements are done. */
  #done = 0

  constructor(
    queries: readonly Query[],
    resolve: (rows: readonly TextRows[]) => void,
    reject: (error: unknown) => void,
  ) {
    this.#statements = queries.map(({ name, text, values }) => ({ name, text, values, query: new pg.Query({ name, text, values }) })) // prettier-ignore
    this.#rows = queries.map(() => [])
    this.#resolve = resolve
    this.#reject = reject
  }

  /** The statement that Postgres is at, under which the client notes that it has been prepared. */
  get name(): string | undefined {
    return this.#statements[this.#done]?.name
  }

  get text(): string | undefined {
    return this.#statements[this.#done]?.text
  }

  submit(connection: pg.Connection): void {
    // node-pg's queries each send a Sync behind them, which would commit.
    const withoutSync = Object.create(connection, { sync: { value: nothing } }) as pg.Connection // It is one, but for that.
    const { stream } = connection
    stream.cork()
    try {
      for (const { query } of this.#statements) query.submit(withoutSync)
      ;(connection as Wire).sync()
    } catch (error) {
      // A value that cannot be sent: what went out before it must not be committed by a Sync to come.
      stream.destroy()
      throw error
    } finally {
      stream.uncork()
    }
  }

  handleRowDescription(): void {}

  handleDataRow({ fields }: Message): void {
    this.#rows[this.#done]?.push(fields)
  }

  handleCommandComplete(): void {
    this.#done++
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#rows)
  }

  handleError(error: unknown, connection: pg.Connection): void {
    // What stands behind the failed statement has not been prepared.
    const { submittedNamedStatements } = connection as Wire
    for (const { name } of this.#statements.slice(this.#done)) delete submittedNamedStatements[name]
    this.#reject(strippedError(error))
  }
}

function nothing(): void {}
