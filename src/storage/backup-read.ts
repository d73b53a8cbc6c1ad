import { Readable } from 'node:stream'
import { to as copyTo } from 'pg-copy-streams'
import { allowSilence } from './client.ts'
import { strippedError } from './database-error.ts'
import { type Database } from './database.ts'
import { fileNamesSql } from './sealed-places.ts'

/** A table as it is copied. */
export interface CopiedTable {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
}

/** Where a sequence stands. */
export interface SequencePlace {
  readonly name: string
  readonly lastValue: string
  readonly isCalled: boolean
}

/** One moment of a database, for as long as the snapshot is open. */
export interface Snapshot {
  readonly serverName: string
  readonly keyringId: string | null
  readonly keyringSerial: number
  readonly keyringGeneration: number | null
  readonly logPosition: number
  readonly migrations: readonly { readonly name: string; readonly checksum: string }[]
  readonly tables: readonly CopiedTable[]
  readonly sequences: readonly SequencePlace[]
  /** The names of all files that media and thumbnails refer to. */
  readonly fileNames: readonly string[]
  /** The rows of a table as Postgres's text format has them, a line each. One at a time. Breaks off with a `DatabaseError`. */
  copy(table: CopiedTable): Readable
  close(): Promise<void>
}

/** A name as SQL has it. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The statement that copies a table's columns in Postgres's text format, which every version of it reads. */
export function copyStatement(name: string, columns: readonly string[], way: 'TO STDOUT' | 'FROM STDIN'): string {
  return `COPY ${quoted(name)} (${columns.map(quoted).join(', ')}) ${way}`
}

/** Errors of node-pg quote rows. */
async function* stripped(stream: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield chunk as Buffer // A byte stream gives bytes.
  } catch (error) {
    throw strippedError(error)
  }
}

const columnsOf = `SELECT c.relname AS name,
    array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relnamespace = current_schema::regnamespace AND c.relkind = 'r' GROUP BY c.relname ORDER BY c.relname COLLATE "C"`

const sequencesOf = `SELECT relname AS name FROM pg_class
  WHERE relnamespace = current_schema::regnamespace AND relkind = 'S' ORDER BY relname COLLATE "C"`

/** The table that migrations keep: it is made anew, and told in another way. */
export const migrationsTable = 'schema_migrations'

/**
 * Fixes one moment of the database, which goes on being written to meanwhile. `null` where there is no server in it yet. Throws
 * `DatabaseError`.
 */
export async function openSnapshot(db: Database): Promise<Snapshot | null> {
  const client = await db.pool.connect()
  const close = () => Promise.resolve(client.release(true))
  try {
    // It takes as long as it takes.
    allowSilence(client)
    await client.query('SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0')
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const ask = async <Row extends object>(text: string): Promise<Row[]> => (await client.query<Row>(text)).rows
    const [found] = await ask<{ found: boolean }>(`SELECT to_regclass('server') IS NOT NULL AS found`)
    const [server] = found?.found === true ? await ask<ServerRow>(serverFacts) : []
    if (!server) {
      await close()
      return null
    }
    const migrations = await ask<{ name: string; checksum: string }>('SELECT name, checksum FROM schema_migrations ORDER BY name') // prettier-ignore
    const tables: CopiedTable[] = []
    for (const { name, columns } of await ask<{ name: string; columns: string[] }>(columnsOf)) {
      if (name === migrationsTable) continue
      const [counted] = await ask<{ rows: number }>(`SELECT count(*) AS rows FROM ${quoted(name)}`)
      tables.push({ name, columns, rows: counted?.rows ?? 0 })
    }
    const sequences: SequencePlace[] = []
    for (const { name } of await ask<{ name: string }>(sequencesOf)) {
      // Sequences know no snapshot: they stand where they are now, which is never too low.
      const [place] = await ask<{ last_value: string; is_called: boolean }>(`SELECT last_value::text, is_called FROM ${quoted(name)}`) // prettier-ignore
      if (place) sequences.push({ name, lastValue: place.last_value, isCalled: place.is_called })
    }
    const files = await ask<{ file_name: string }>(fileNamesSql)
    return {
      serverName: server.server_name,
      keyringId: server.keyring_id,
      keyringSerial: server.keyring_serial,
      keyringGeneration: server.keyring_generation,
      logPosition: server.position,
      migrations,
      tables,
      sequences,
      fileNames: files.map(file => file.file_name),
      copy({ name, columns }) {
        return Readable.from(stripped(client.query(copyTo(copyStatement(name, columns, 'TO STDOUT')))), { objectMode: false }) // prettier-ignore
      },
      close,
    }
  } catch (error) {
    client.release(true)
    throw error
  }
}

interface ServerRow {
  server_name: string
  keyring_id: string | null
  keyring_serial: number
  keyring_generation: number | null
  position: number
}

const serverFacts = 'SELECT server_name, keyring_id, keyring_serial, keyring_generation, position FROM server, log_head'
