import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { allowSilence } from './client.ts'
import { DatabaseError } from './database-error.ts'

/** Where the numbered files lie. */
export const SQL_FOLDER = fileURLToPath(new URL('../../sql/', import.meta.url))

/** One file of sql/. */
export interface Migration {
  /** The file's name without `.sql`: `0001_foundation`. */
  readonly name: string
  readonly text: string
  /** SHA-256 of the text, in hexadecimal. */
  readonly checksum: string
  /** False when the first line says `-- no-transaction`: for `CREATE INDEX CONCURRENTLY` and its like. Such a file holds one
   *  statement, which can be repeated after a crash (`IF NOT EXISTS`). */
  readonly inTransaction: boolean
}

/** What `migrate` reports while it works. */
export interface MigrationProgress {
  readonly name: string
  /** Counts from 1 to `total`, the number of migrations that were pending. */
  readonly step: number
  readonly total: number
}

/** The database cannot be brought to this version of the code. The message is for the operator. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.sql$/
/** The advisory lock that migrators queue for: 'lethe' in ASCII. */
const LOCK_KEY = 0x6c65746865
const WAIT_SECONDS = 0.1

/** Reads the migrations of a folder, in order. Throws `MigrationError` when two have the same number. */
export async function readMigrations(folder: string = SQL_FOLDER): Promise<readonly Migration[]> {
  const names = (await readdir(folder)).flatMap(file => FILE_NAME.exec(file)?.[1] ?? []).sort()
  const migrations: Migration[] = []
  for (const name of names) {
    if (migrations.at(-1)?.name.slice(0, 4) === name.slice(0, 4)) {
      throw new MigrationError(`two migrations have the number ${name.slice(0, 4)}`)
    }
    const text = await readFile(join(folder, `${name}.sql`), 'utf8')
    migrations.push({
      name,
      text,
      checksum: createHash('sha256').update(text).digest('hex'),
      inTransaction: !/^-- no-transaction\s*$/m.test(text.slice(0, text.indexOf('\n') + 1)),
    })
  }
  return migrations
}

/**
 * Applies what is pending, each file in a transaction of its own, and returns the names applied. Any number of processes
 * may call it at once: one works, the others wait for it and then find nothing to do. Stops at the first failure; what was
 * applied before stays, and the next call goes on from there. Throws `MigrationError` when the database was made by newer
 * code or a file was changed after it had been applied, `DatabaseError` when a statement fails.
 */
export async function migrate(
  pool: pg.Pool,
  migrations: readonly Migration[],
  onProgress: (progress: MigrationProgress) => void = () => undefined,
): Promise<readonly string[]> {
  const client = await pool.connect()
  try {
    // A migration may take as long as it needs, and so may waiting for another process's.
    allowSilence(client)
    await client.query('SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0')
    await lock(client)
    await client.query(makeMigrationsTable)
    const missing = missingFrom(migrations, await applied(client))
    for (const [index, migration] of missing.entries()) {
      onProgress({ name: migration.name, step: index + 1, total: missing.length })
      await applyOrExplain(client, migration)
    }
    return missing.map(migration => migration.name)
  } finally {
    // Closing the session drops its settings and its lock, whatever happened.
    client.release(true)
  }
}

/**
 * Applies migrations within the transaction that the connection is in, in a database that nobody else uses. What is written to be
 * done outside of transactions is done inside: it only spares others the waiting. Throws as `migrate` does.
 */
export async function migrateWithin(client: pg.PoolClient, migrations: readonly Migration[]): Promise<void> {
  await client.query(makeMigrationsTable)
  for (const migration of migrations) {
    const text = migration.inTransaction ? migration.text : migration.text.replace(/\bCONCURRENTLY\b/gi, '')
    await applyOrExplain(client, { ...migration, text }, false)
  }
}

/** The names that `migrate` would apply. Throws as it does; changes nothing. */
export async function pendingMigrations(pool: pg.Pool, migrations: readonly Migration[]): Promise<readonly string[]> {
  const exists = await pool.query<{ found: boolean }>(`SELECT to_regclass('schema_migrations') IS NOT NULL AS found`)
  const done = exists.rows[0]?.found === true ? await applied(pool) : []
  return missingFrom(migrations, done).map(migration => migration.name)
}

const makeMigrationsTable = `CREATE TABLE IF NOT EXISTS schema_migrations (
  name        text COLLATE "C" PRIMARY KEY,
  checksum    text COLLATE "C" NOT NULL,
  applied_on  date NOT NULL DEFAULT current_date
)`

/** A migration that a database has had. */
export interface Applied {
  readonly name: string
  readonly checksum: string
}

/** Polls instead of waiting inside one statement: a statement that waits holds a snapshot, for which the other process's
 *  `CREATE INDEX CONCURRENTLY` would wait in turn. */
async function lock(client: pg.PoolClient): Promise<void> {
  for (;;) {
    const result = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [LOCK_KEY])
    if (result.rows[0]?.locked === true) return
    await client.query('SELECT pg_sleep($1)', [WAIT_SECONDS])
  }
}

async function applied(client: Pick<pg.Pool, 'query'> | pg.PoolClient): Promise<readonly Applied[]> {
  return (await client.query<Applied>('SELECT name, checksum FROM schema_migrations ORDER BY name')).rows
}

/** Those of the migrations that are not among the ones named; throws `MigrationError` for names or checksums that are unknown. */
export function missingFrom(migrations: readonly Migration[], done: readonly Applied[]): readonly Migration[] {
  const known = new Map(migrations.map(migration => [migration.name, migration]))
  for (const { name, checksum } of done) {
    const migration = known.get(name)
    if (migration === undefined) {
      throw new MigrationError(
        `the database is newer than this version of Lethe: it has had the migration ${name}, which this version does not know. Run the newer version, or restore a backup.`,
      )
    }
    if (migration.checksum !== checksum) {
      throw new MigrationError(`the migration ${name} was changed after it had been applied to this database.`)
    }
  }
  const names = new Set(done.map(({ name }) => name))
  return migrations.filter(migration => !names.has(migration.name))
}

async function applyOrExplain(client: pg.PoolClient, migration: Migration, ownTransaction = true): Promise<void> {
  try {
    await apply(client, migration, ownTransaction && migration.inTransaction)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    const lines = migration.text.slice(0, error.position ?? 0).split('\n').length
    const place = error.position === null ? '' : `, line ${lines}`
    throw new MigrationError(`the migration ${migration.name}${place} failed: ${error.message}`)
  }
}

async function apply(client: pg.PoolClient, migration: Migration, inTransaction: boolean): Promise<void> {
  // A failure closes the session, which rolls back.
  if (inTransaction) await client.query('BEGIN')
  await client.query(migration.text)
  await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [
    migration.name,
    migration.checksum,
  ])
  if (inTransaction) await client.query('COMMIT')
}
