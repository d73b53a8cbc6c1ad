import type pg from 'pg'

/** What suffers: what is durable, what is written down where Lethe does not reach, or what can be stored at all. */
export type Concern = 'durability' | 'privacy' | 'operation'

/** Something about the database that the operator should know; it runs nevertheless. */
export interface DatabaseWarning {
  /** Postgres's name of the setting or property. */
  readonly setting: string
  readonly concern: Concern
  /** What is wrong with it and what follows from that. Constant sentences: fit for the log. */
  readonly message: string
  /** What to do about it, as constant as the message. */
  readonly hint: string
}

/** The advisory lock of those who change the role's settings: 'quiet' in ASCII. */
const LOCK_KEY = 0x7175696574
/** The oldest version whose SQL we use. */
export const OLDEST_VERSION = 150_000

interface Facts {
  readonly version: number
  readonly encoding: string
  readonly is_superuser: boolean
  readonly settings: Readonly<Record<string, string>>
}

interface Check {
  readonly setting: string
  readonly concern: Concern
  /** Takes what `pg_settings` says: without a unit. */
  readonly holds: (value: string) => boolean
  /** What it should be. */
  readonly wanted: string
  readonly message: string
  /** In place of the statement that sets it. */
  readonly hint?: string
}

const is = (wanted: string) => ({ wanted, holds: (value: string) => value === wanted })

const CHECKS: readonly Check[] = [
  {
    setting: 'fsync',
    concern: 'durability',
    ...is('on'),
    message: 'fsync is off: a power cut may destroy the database',
  },
  {
    setting: 'full_page_writes',
    concern: 'durability',
    ...is('on'),
    message: 'full_page_writes is off: a power cut may destroy the database',
  },
  {
    setting: 'synchronous_commit',
    concern: 'durability',
    wanted: 'on',
    holds: value => value !== 'off',
    message: 'synchronous_commit is off: messages that were acknowledged may be lost in a crash',
  },
  {
    setting: 'data_checksums',
    concern: 'durability',
    ...is('on'),
    message: 'data_checksums is off: a failing disk is noticed late',
    hint: 'stop the database and run pg_checksums --enable',
  },
  {
    setting: 'log_statement',
    concern: 'privacy',
    ...is('none'),
    message: 'log_statement is not none: the database writes statements into its log',
  },
  {
    setting: 'log_min_duration_statement',
    concern: 'privacy',
    ...is('-1'),
    message: 'log_min_duration_statement is set: the database writes slow statements into its log',
  },
  {
    setting: 'log_min_duration_sample',
    concern: 'privacy',
    ...is('-1'),
    message: 'log_min_duration_sample is set: the database writes some slow statements into its log',
  },
  {
    setting: 'log_transaction_sample_rate',
    concern: 'privacy',
    ...is('0'),
    message:
      'log_transaction_sample_rate is not 0: the database writes the statements of some transactions into its log',
  },
  {
    setting: 'log_min_error_statement',
    concern: 'privacy',
    ...is('panic'),
    message: 'log_min_error_statement is not panic: the database writes failed statements into its log',
  },
  {
    setting: 'log_parameter_max_length',
    concern: 'privacy',
    ...is('0'),
    message: 'log_parameter_max_length is not 0: with a statement the database writes its values into its log',
  },
  {
    setting: 'log_parameter_max_length_on_error',
    concern: 'privacy',
    ...is('0'),
    message: 'log_parameter_max_length_on_error is not 0: the database writes values of failed statements into its log',
  },
  {
    setting: 'log_error_verbosity',
    concern: 'privacy',
    ...is('terse'),
    message: 'log_error_verbosity is not terse: the database writes contents of rows into its log',
  },
  {
    setting: 'auto_explain.log_min_duration',
    concern: 'privacy',
    ...is('-1'),
    message: 'auto_explain writes slow statements, with their values, into the log of the database',
  },
]

const changeHint = ({ setting, wanted }: Check): string =>
  `as a superuser: ALTER SYSTEM SET ${setting} = '${wanted}'; SELECT pg_reload_conf()`

/** True if nothing that was found lets the database write down what people say, in a log that Lethe has no hold of. */
export function keepsLogsQuiet(warnings: readonly DatabaseWarning[]): boolean {
  return warnings.every(({ concern }) => concern !== 'privacy')
}

/**
 * Compares the database's settings, as they are for connections of this role, with what Lethe's durability and privacy rest
 * on. An empty list is a database that keeps every promise. Throws `DatabaseError` when it cannot be asked.
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
    warnings.push({
      setting: 'server_version',
      concern: 'operation',
      message: 'the database is older than PostgreSQL 15',
      hint: 'move it to a newer one with pg_upgrade',
    })
  }
  if (facts.encoding !== 'UTF8') {
    warnings.push({
      setting: 'server_encoding',
      concern: 'operation',
      message: 'the database is not UTF8: it refuses most of the world’s texts',
      hint: "make it anew: CREATE DATABASE lethe ENCODING 'UTF8' TEMPLATE template0",
    })
  }
  if (facts.is_superuser) {
    warnings.push({
      setting: 'role',
      concern: 'operation',
      message: 'Lethe is connected as a superuser and needs no more than its own database',
      hint: 'CREATE ROLE lethe LOGIN; ALTER DATABASE lethe OWNER TO lethe',
    })
  }
  for (const check of CHECKS) {
    const { setting, concern, holds, message, hint } = check
    const value = facts.settings[setting]
    if (value !== undefined && !holds(value)) {
      warnings.push({ setting, concern, message, hint: hint ?? changeHint(check) })
    }
  }
  return warnings
}

/**
 * Sets what this role may set itself, for its own connections to its own database from now on, and returns the names of what
 * was set: durable commits and a quiet log where the database's own settings are others. A plain role may set little of it;
 * one that was granted SET on a parameter, or a superuser, more. Whatever is left is for `inspectDatabase` to say.
 * Connections that are open keep what they have: the pool's are given up. Throws `DatabaseError`.
 */
export async function settleDatabase(pool: Pick<pg.Pool, 'connect'>): Promise<readonly string[]> {
  const client = await pool.connect()
  const settled: string[] = []
  try {
    await client.query('BEGIN')
    // Of several processes that start at once, one after another: Postgres refuses two changes of one role at a time.
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK_KEY])
    const { rows } = await client.query<{ name: string; setting: string; statement: string }>(
      `SELECT name, setting, format('ALTER ROLE CURRENT_USER IN DATABASE %I SET %s = %L', current_database(), name, wanted) AS statement
       FROM pg_settings JOIN unnest($1::text[], $2::text[]) AS w (name, wanted) USING (name)
       WHERE context = 'user' OR context = 'superuser' AND ${await privilegeOn(client)}`,
      [CHECKS.map(check => check.setting), CHECKS.map(check => check.wanted)],
    )
    for (const { name, setting, statement } of rows) {
      if (CHECKS.find(check => check.setting === name)?.holds(setting) !== false) continue
      await client.query(statement)
      settled.push(name)
    }
    await client.query('COMMIT')
    return settled
  } finally {
    // It goes on with the old settings, or is in the middle of a transaction that failed: not worth keeping.
    client.release(true)
  }
}

/** SQL that says whether this role may set the parameter `name`: before PostgreSQL 15 that was a superuser's alone. */
async function privilegeOn(client: pg.PoolClient): Promise<string> {
  const { rows } = await client.query<{ has_privileges: boolean }>(
    `SELECT current_setting('server_version_num')::integer >= 150000 AS has_privileges`,
  )
  return rows[0]?.has_privileges === true
    ? `has_parameter_privilege(name, 'SET')`
    : `current_setting('is_superuser') = 'on'`
}
