import { type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { type CopiedTable, copyStatement, quoted, type SequencePlace } from './backup-read.ts'
import { strippedError } from './database-error.ts'
import { type Database, patiently, patientTransaction, type Tx } from './database.ts'
import { type Migration, migrateWithin } from './migrate.ts'
import { markSetBack } from './set-back.ts'

/** What a database holds that something is to be restored into: nothing, an empty schema of ours, or anything else. */
export type Occupancy = 'empty' | 'prepared' | 'in use'

const objectsOf = `SELECT relname AS name, relkind AS kind FROM pg_class
  WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('i', 'e'))`

/** `known`: the names of the tables that a schema of ours may have. Throws `DatabaseError`. */
export async function occupancyOf(pool: Pick<pg.Pool, 'query'>, known: ReadonlySet<string>): Promise<Occupancy> {
  const { rows } = await pool.query<{ name: string; kind: string }>(objectsOf)
  if (rows.length === 0) return 'empty'
  if (!rows.every(({ name, kind }) => kind === 'S' || (kind === 'r' && known.has(name)))) return 'in use'
  const tables = new Set(rows.map(({ name }) => name))
  if (!['server', 'users', 'events', 'media'].every(name => tables.has(name))) return 'in use'
  const used = await pool.query<{ used: boolean }>(`SELECT EXISTS (SELECT FROM server) OR EXISTS (SELECT FROM users)
    OR EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM media) AS used`)
  return used.rows[0]?.used === false ? 'prepared' : 'in use'
}

/** What a database is made of anew. */
export interface Load {
  /** Those that the copy had had, in order. */
  readonly migrationsOfCopy: readonly Migration[]
  /** Those that came since. */
  readonly migrationsSince: readonly Migration[]
  readonly tables: readonly CopiedTable[]
  readonly sequences: readonly SequencePlace[]
  /** The rows of a table, as `Snapshot.copy` gave them. */
  readonly rowsOf: (table: CopiedTable) => Promise<Readable>
  /** Done last, before the commit: when it fails nothing of all this has happened. */
  readonly beforeCommit: (tx: Tx) => Promise<void>
}

/**
 * Fills an empty database with what was copied from another, in one transaction: the schema as it was then, the rows, the
 * sequences, the migrations since; and marks it as set back. Throws `DatabaseError`, `MigrationError` and what the streams
 * throw.
 */
export async function loadDatabase(db: Database, load: Load): Promise<void> {
  await patientTransaction(db, async (tx, client) => {
    await dropPrepared(client)
    await migrateWithin(client, load.migrationsOfCopy)
    const foreignKeys = await withoutForeignKeys(client)
    for (const table of load.tables) await loadTable(client, table, await load.rowsOf(table))
    for (const { name, lastValue, isCalled } of load.sequences) {
      await client.query('SELECT setval($1::regclass, $2::bigint, $3)', [quoted(name), lastValue, isCalled])
    }
    for (const statement of foreignKeys) await client.query(statement)
    await migrateWithin(client, load.migrationsSince)
    await markSetBack(tx)
    await load.beforeCommit(tx)
  })
  // Nothing is known yet of what the tables hold. It may fail without harm: Postgres does it by itself in a while.
  await patiently(db, client => client.query('ANALYZE')).catch(() => undefined)
}

/** Removes the empty schema that a first start, or "lethe migrate", has made. */
async function dropPrepared(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ name: string; kind: string }>(objectsOf)
  for (const { name } of rows.filter(({ kind }) => kind === 'r'))
    await client.query(`DROP TABLE ${quoted(name)} CASCADE`)
  for (const { name } of rows.filter(({ kind }) => kind === 'S')) await client.query(`DROP SEQUENCE ${quoted(name)}`)
  if (rows.length === 0) return
  const functions = await client.query<{ signature: string }>(
    `SELECT oid::regprocedure::text AS signature FROM pg_proc WHERE pronamespace = current_schema::regnamespace
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')`,
  )
  for (const { signature } of functions.rows) await client.query(`DROP FUNCTION ${signature}`)
}

/** Takes the foreign keys off, so that the order of the tables does not matter; returns what puts them back, and checks them. */
async function withoutForeignKeys(client: pg.PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ table_name: string; name: string; definition: string }>(
    `SELECT c.relname AS table_name, k.conname AS name, pg_get_constraintdef(k.oid) AS definition
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE c.relnamespace = current_schema::regnamespace AND k.contype = 'f'`,
  )
  for (const { table_name: table, name } of rows) await client.query(`ALTER TABLE ${quoted(table)} DROP CONSTRAINT ${quoted(name)}`) // prettier-ignore
  return rows.map(row => `ALTER TABLE ${quoted(row.table_name)} ADD CONSTRAINT ${quoted(row.name)} ${row.definition}`)
}

async function loadTable(client: pg.PoolClient, { name, columns }: CopiedTable, rows: Readable): Promise<void> {
  // What the migrations put there is in the copy too; and what triggers would do has been done.
  await client.query(`DELETE FROM ${quoted(name)}`)
  await client.query(`ALTER TABLE ${quoted(name)} DISABLE TRIGGER USER`)
  try {
    await pipeline(rows, client.query(copyFrom(copyStatement(name, columns, 'FROM STDIN'))))
  } catch (error) {
    throw strippedError(error)
  }
  await client.query(`ALTER TABLE ${quoted(name)} ENABLE TRIGGER USER`)
}
