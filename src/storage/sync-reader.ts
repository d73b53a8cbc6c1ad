import { type Database, type Reader } from './database.ts'

/**
 * A reader for what may give many rows: each statement on a connection of the pool. The shared pipelined connection, which
 * `db.kysely` stands for, answers in order, and everybody else's short questions would wait behind a long answer.
 */
export function bulkReader(db: Database): Reader {
  return db.kysely.withoutPlugins()
}
