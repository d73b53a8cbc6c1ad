import type pg from 'pg'

/** What the database says of itself, for the operator. */
export interface DatabaseFacts {
  readonly version: string
  readonly collation: string
  /** The version of the collation's rules has changed since the database was made, and indexes on text may be wrong. */
  readonly isCollationStale: boolean
  /** Whether there is a table of the server in it. */
  readonly hasSchema: boolean
}

/** Throws `DatabaseError`. */
export async function databaseFacts(pool: Pick<pg.Pool, 'query'>): Promise<DatabaseFacts> {
  const { rows } = await pool.query<{ version: string; collation: string; has_schema: boolean }>(
    `SELECT current_setting('server_version') AS version, datcollate AS collation,
       to_regclass('server') IS NOT NULL AS has_schema
     FROM pg_database WHERE datname = current_database()`,
  )
  const [row] = rows
  return {
    version: row?.version ?? 'unknown',
    collation: row?.collation ?? 'unknown',
    isCollationStale: await isCollationStale(pool),
    hasSchema: row?.has_schema === true,
  }
}

/** Whether the role may make tables where they are made by itself: since PostgreSQL 15 only the database's owner may. */
export async function mayMakeTables(pool: Pick<pg.Pool, 'query'>): Promise<boolean> {
  const { rows } = await pool.query<{ may: boolean }>(
    `SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may`,
  )
  return rows[0]?.may === true
}

async function isCollationStale(pool: Pick<pg.Pool, 'query'>): Promise<boolean> {
  // Databases have known the version of theirs since PostgreSQL 15.
  const known = await pool.query<{ known: boolean }>(
    `SELECT current_setting('server_version_num')::integer >= 150000 AS known`,
  )
  if (known.rows[0]?.known !== true) return false
  const { rows } = await pool.query<{ stale: boolean }>(
    `SELECT coalesce(datcollversion <> pg_database_collation_actual_version(oid), false) AS stale
     FROM pg_database WHERE datname = current_database()`,
  )
  return rows[0]?.stale === true
}

/** The database's clock, in milliseconds since the epoch. */
export async function databaseNow(pool: Pick<pg.Pool, 'query'>): Promise<number> {
  const { rows } = await pool.query<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  )
  return rows[0]?.now ?? NaN
}

/** Whose database it is; `null` before the first start. */
export async function serverNameIn(pool: Pick<pg.Pool, 'query'>): Promise<string | null> {
  const { rows } = await pool.query<{ server_name: string }>('SELECT server_name FROM server')
  return rows[0]?.server_name ?? null
}
