import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { silentLogger } from '../../src/log.ts'
import { type Connection } from '../../src/storage/client.ts'
import { DatabaseError, openDatabase } from '../../src/storage/database.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'
import { inspectDatabase, keepsLogsQuiet, settleDatabase } from '../../src/storage/inspect.ts'
import { asSuperuser } from '../harness/cluster.ts'

const canary = 'canary-of-a-row'
/** What an operator's own Postgres may be like: all that it could write down, it does. */
const loud = {
  log_statement: 'all',
  log_min_messages: 'debug1',
  log_min_error_statement: 'error',
  log_min_duration_statement: '0',
  log_error_verbosity: 'verbose',
  log_parameter_max_length: '-1',
  log_parameter_max_length_on_error: '-1',
  synchronous_commit: 'off',
}
const collected = { logging_collector: 'on', log_directory: 'log', log_filename: 'all.log' }

interface Home {
  readonly postgres: EmbeddedPostgres
  readonly folder: string
  stop(): Promise<void>
}

async function start(settings: Readonly<Record<string, string>>): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-test-quiet-'))
  const postgres = await startEmbeddedPostgres({ dataDir: folder, log: silentLogger, fsync: false, settings: { ...settings, ...collected } }) // prettier-ignore
  return {
    postgres,
    folder,
    async stop() {
      await postgres.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Writes a row that breaks a constraint, and one that does not. Returns what was thrown. */
async function breakConstraint(connection: Connection, table: string): Promise<unknown> {
  const db = openDatabase(connection, silentLogger)
  try {
    await db.pool.query(`CREATE TABLE ${table} (word text PRIMARY KEY)`)
    await db.pool.query(`INSERT INTO ${table} VALUES ($1)`, [canary])
    return await db.pool.query(`INSERT INTO ${table} VALUES ($1)`, [canary]).catch((error: unknown) => error)
  } finally {
    await db.close()
  }
}

async function logOf(home: Home): Promise<string> {
  const folder = join(home.folder, 'postgres', 'log')
  const texts = await Promise.all((await readdir(folder)).map(name => readFile(join(folder, name), 'utf8')))
  return texts.join('')
}

async function warningsOf(connection: Connection): Promise<readonly string[]> {
  const db = openDatabase(connection, silentLogger)
  try {
    return (await inspectDatabase(db.pool)).map(({ setting }) => setting)
  } finally {
    await db.close()
  }
}

describe('promise 13: the database writes down nothing that people say', () => {
  it('is kept by the embedded one, and an error says nothing of a row', async () => {
    const home = await start({ log_min_messages: 'debug1' })
    try {
      const error = await breakConstraint(home.postgres.connection, 'words')
      expect(error).toBeInstanceOf(DatabaseError)
      // Everything that hangs on it, as a careless logger would print it.
      expect(JSON.stringify(error, [...Object.getOwnPropertyNames(error), 'cause'])).not.toContain(canary)
      expect((error as DatabaseError).code).toBe('23505')
      const text = await logOf(home)
      // What is to be silent must have been running.
      expect(text).toContain('ready to accept connections')
      expect(text).not.toContain(canary)
      expect(await warningsOf(home.postgres.connection)).toEqual(['fsync', 'full_page_writes'])
    } finally {
      await home.stop()
    }
  }, 60_000)

  describe('one of the operator’s own', () => {
    let home: Home
    beforeAll(async () => {
      home = await start(loud)
    }, 60_000)
    afterAll(() => home.stop())

    it('says much by itself, so that its silence means something', async () => {
      await breakConstraint(home.postgres.connection, 'loud_words')
      expect(await logOf(home)).toContain(canary)
    })

    it('is told what a plain role may tell it, and the rest is said to the operator', async () => {
      const { connection } = home.postgres
      const before = await warningsOf(connection)
      expect(before).toEqual([
        'fsync', 'full_page_writes', 'synchronous_commit', 'log_statement', 'log_min_duration_statement',
        'log_min_error_statement', 'log_parameter_max_length', 'log_parameter_max_length_on_error',
        'log_error_verbosity',
      ]) // prettier-ignore
      const db = openDatabase(connection, silentLogger)
      const settled = await settleDatabase(db.pool)
      const warnings = await inspectDatabase(db.pool)
      await db.close()
      expect([...settled].sort()).toEqual(['log_parameter_max_length_on_error', 'synchronous_commit'])
      expect(warnings.map(({ setting }) => setting)).toEqual(before.filter(setting => !settled.includes(setting)))
      expect(keepsLogsQuiet(warnings)).toBe(false)
      expect(warnings.find(({ setting }) => setting === 'log_statement')?.hint).toBe(
        "as a superuser: ALTER SYSTEM SET log_statement = 'none'; SELECT pg_reload_conf()",
      )
    })

    it('is quiet once the role was granted what it needs for that, whoever starts at the same time', async () => {
      const { connection, superuserConnection } = home.postgres
      const names = ['log_statement', 'log_min_duration_statement', 'log_min_error_statement', 'log_parameter_max_length', 'log_error_verbosity'] // prettier-ignore
      await asSuperuser(superuserConnection, `GRANT SET ON PARAMETER ${names.join(', ')} TO lethe`)
      const processes = [1, 2, 3].map(() => openDatabase(connection, silentLogger))
      const settled = await Promise.all(processes.map(({ pool }) => settleDatabase(pool)))
      await Promise.all(processes.map(each => each.close()))
      expect([...new Set(settled.flat())].sort()).toEqual([...names].sort())
      expect(await warningsOf(connection)).toEqual(['fsync', 'full_page_writes'])
      const before = (await logOf(home)).length
      await breakConstraint(connection, 'quiet_words')
      expect((await logOf(home)).slice(before)).not.toContain(canary)
      // Only its own sessions: whoever else uses the cluster has what they had.
      const other = new pg.Client('url' in superuserConnection ? {} : superuserConnection)
      await other.connect()
      const { rows } = await other.query<{ log_statement: string }>('SHOW log_statement')
      await other.end()
      expect(rows).toEqual([{ log_statement: 'all' }])
    })
  })
})
