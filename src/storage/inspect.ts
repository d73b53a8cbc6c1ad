import type pg from 'pg'

/** Something about the database that the operator should know; it runs nevertheless. */
export interface DatabaseWarning {
  /** Postgres's name of the setting or property. */
  readonly setting: string
  /** What is wrong with it and what follows from that. Constant sentences: fit for the log. */
  readonly message: string
}

/** The oldest version whose SQL we use. */
export const OLDEST_VERSION = 140_000

interface Facts {
  readonly version: number
  readonly encoding: string
  readonly is_superuser: boolean
  readonly settings: Readonly<Record<string, string>>
}

const CHECKS: readonly { setting: string; holds: (value: string) => boolean; message: string }[] = [
  { setting: 'fsync', holds: value => value === 'on', message: 'fsync is off: a power cut may destroy the database' },
  {
    setting: 'full_page_writes',
    holds: value => value === 'on',
    message: 'full_page_writes is off: a power cut may destroy the database',
  },
  {
    setting: 'synchronous_commit',
    holds: value => value !== 'off',
    message: 'synchronous_commit is off: messages that were acknowledged may be lost in a crash',
  },
  {
    setting: 'data_checksums',
    holds: value => value === 'on',
    message: 'data_checksums is off: a failing disk is noticed late',
  },
  {
    setting: 'log_statement',
    holds: value => value === 'none',
    message: 'log_statement is not none: the database writes statements into its log',
  },
  {
    setting: 'log_min_duration_statement',
    holds: value => value === '-1',
    message: 'log_min_duration_statement is set: the database writes slow statements into its log',
  },
  {
    setting: 'log_min_error_statement',
    holds: value => value === 'panic',
    message: 'log_min_error_statement is not panic: the database writes failed statements into its log',
  },
  {
    setting: 'log_parameter_max_length_on_error',
    holds: value => value === '0',
    message: 'log_parameter_max_length_on_error is not 0: the database writes values of failed statements into its log',
  },
  {
    setting: 'log_error_verbosity',
    holds: value => value === 'terse',
    message: 'log_error_verbosity is not terse: the database writes contents of rows into its log',
  },
]

/**
 * Compares the database's settings with what Lethe's durability and privacy rest on.
 * An empty list is a database that keeps every promise. Throws `DatabaseError` when it cannot be asked.
 */
export async function inspectDatabase(pool: Pick<pg.Pool, 'query'>): Promise<readonly DatabaseWarning[]> {
  const result = await pool.query<Facts>(
    `SELECT current_setting('server_version_num')::integer AS version,
            pg_encoding_to_char(encoding) AS encoding,
            (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
            (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name = ANY ($1)) AS settings
     FROM pg_database WHERE datname = current_database()`,
    [CHECKS.map(check => check.setting)],
  )
  const facts = result.rows[0]
  if (facts === undefined) return []
  const warnings: DatabaseWarning[] = []
  if (facts.version < OLDEST_VERSION) {
    warnings.push({ setting: 'server_version', message: 'the database is older than PostgreSQL 14' })
  }
  if (facts.encoding !== 'UTF8') {
    warnings.push({
      setting: 'server_encoding',
      message: 'the database is not UTF8: it refuses most of the world’s texts',
    })
  }
  if (facts.is_superuser) {
    warnings.push({
      setting: 'role',
      message: 'Lethe is connected as a superuser and needs no more than its own database',
    })
  }
  for (const { setting, holds, message } of CHECKS) {
    const value = facts.settings[setting]
    if (value !== undefined && !holds(value)) warnings.push({ setting, message })
  }
  return warnings
}
