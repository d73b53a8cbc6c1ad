import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/log.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { migrate, type Migration, pendingMigrations, readMigrations } from '../../src/storage/migrate.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

let test: TestDatabase
let db: Database
let folder: string
beforeEach(async () => {
  test = await testDatabase({ empty: true })
  db = openDatabase({ url: test.url }, silentLogger)
  folder = await mkdtemp(join(tmpdir(), 'lethe-sql-'))
})
afterEach(async () => {
  await db.close()
  await test.drop()
  await rm(folder, { recursive: true })
})

async function files(contents: Readonly<Record<string, string>>): Promise<readonly Migration[]> {
  for (const [name, text] of Object.entries(contents)) await writeFile(join(folder, name), text)
  return readMigrations(folder)
}

async function tables(): Promise<readonly string[]> {
  const result = await db.pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`,
  )
  return result.rows.map(row => row.name)
}

const FIRST = 'CREATE TABLE first (a integer);\nINSERT INTO first VALUES (1), (2);\n'
const SECOND = 'CREATE TABLE second (b integer);\n'

describe('migrating', () => {
  it('applies what is pending, in order, telling of each step, and then nothing', async () => {
    const migrations = await files({ '0002_second.sql': SECOND, '0001_first.sql': FIRST, 'schema.sql': 'not one' })
    expect(await pendingMigrations(db.pool, migrations)).toEqual(['0001_first', '0002_second'])
    const steps: unknown[] = []
    expect(await migrate(db.pool, migrations, step => steps.push(step))).toEqual(['0001_first', '0002_second'])
    expect(steps).toEqual([
      { name: '0001_first', step: 1, total: 2 },
      { name: '0002_second', step: 2, total: 2 },
    ])
    expect(await migrate(db.pool, migrations)).toEqual([])
    expect(await pendingMigrations(db.pool, migrations)).toEqual([])
    expect(await tables()).toEqual(['first', 'schema_migrations', 'second'])
  })

  it('is done once when several processes do it at the same time', async () => {
    const migrations = await files({ '0001_first.sql': `SELECT pg_sleep(0.2);\n${FIRST}`, '0002_second.sql': SECOND })
    const others = Array.from({ length: 4 }, () => openDatabase({ url: test.url }, silentLogger))
    const results = await Promise.all([db, ...others].map(({ pool }) => migrate(pool, migrations)))
    expect(results.map(applied => applied.length).sort()).toEqual([0, 0, 0, 0, 2])
    expect((await db.pool.query('SELECT count(*) AS rows FROM first')).rows).toEqual([{ rows: 2 }])
    await Promise.all(others.map(other => other.close()))
  })

  it('leaves nothing of a file that fails, says where it failed, and goes on from there', async () => {
    const broken = await files({ '0001_first.sql': FIRST, '0002_second.sql': `${SECOND}\nSELECT oops;\n` })
    await expect(migrate(db.pool, broken)).rejects.toThrow('0002_second, line 3 failed')
    expect(await tables()).toEqual(['first', 'schema_migrations'])
    const mended = await files({ '0002_second.sql': SECOND })
    expect(await migrate(db.pool, mended)).toEqual(['0002_second'])
  })

  it('runs a file outside a transaction when its first line says so', async () => {
    const migrations = await files({
      '0001_first.sql': FIRST,
      '0002_index.sql': '-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS first_a ON first (a);\n',
    })
    // Two at once: the waiting one must not keep the index from being built.
    const other = openDatabase({ url: test.url }, silentLogger)
    await Promise.all([migrate(db.pool, migrations), migrate(other.pool, migrations)])
    await other.close()
    const result = await db.pool.query(`SELECT indisvalid FROM pg_index WHERE indexrelid = 'first_a'::regclass`)
    expect(result.rows).toEqual([{ indisvalid: true }])
  })

  it('refuses a database that is newer than the code, and changes nothing', async () => {
    const newer = await files({ '0001_first.sql': FIRST, '0002_second.sql': SECOND })
    await migrate(db.pool, newer)
    const older = [...newer.slice(0, 1), ...(await files({ '0003_third.sql': 'CREATE TABLE third ();' })).slice(2)]
    await expect(migrate(db.pool, older)).rejects.toThrow('newer than this version of Lethe')
    await expect(pendingMigrations(db.pool, older)).rejects.toThrow('newer than this version of Lethe')
    expect(await tables()).toEqual(['first', 'schema_migrations', 'second'])
  })

  it('refuses a file that was changed after it had been applied', async () => {
    await migrate(db.pool, await files({ '0001_first.sql': FIRST }))
    const changed = await files({ '0001_first.sql': `${FIRST}-- and more\n` })
    await expect(migrate(db.pool, changed)).rejects.toThrow('changed after it had been applied')
  })

  it('refuses two files with one number', async () => {
    await expect(files({ '0001_first.sql': FIRST, '0001_second.sql': SECOND })).rejects.toThrow('the number 0001')
  })

  it('leaves the connection’s limits as they were', async () => {
    await migrate(db.pool, await files({ '0001_first.sql': FIRST }))
    expect((await db.pool.query('SHOW statement_timeout')).rows).toEqual([{ statement_timeout: '30s' }])
  })
})
