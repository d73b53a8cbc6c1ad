import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { silentLogger } from '../../src/log.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { dumpSchema } from '../../src/storage/schema-dump.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

const FILE = fileURLToPath(new URL('../../sql/schema.sql', import.meta.url))
const HEADER = '-- What the migrations add up to. Written by UPDATE_SCHEMA=1 npm run jest -- test/house/schema.\n\n'

let test: TestDatabase
let db: Database
beforeAll(async () => {
  test = await testDatabase()
  db = openDatabase({ url: test.url }, silentLogger)
})
afterAll(async () => {
  await db.close()
  await test.drop()
})

describe('the schema', () => {
  it('is what sql/schema.sql says, so that a migration’s effect is seen in its diff', async () => {
    const dump = `${HEADER}${await dumpSchema(db.pool)}`
    if (process.env['UPDATE_SCHEMA'] === '1') await writeFile(FILE, dump)
    expect(dump).toBe(await readFile(FILE, 'utf8'))
  })

  it('is told the same way twice, and differently when it differs', async () => {
    const before = await dumpSchema(db.pool)
    expect(await dumpSchema(db.pool)).toBe(before)
    await db.pool.query(
      `CREATE TABLE added (n integer DEFAULT 1 CHECK (n > 0), t text COLLATE "C"); CREATE INDEX ON added (t)`,
    )
    await db.pool.query(`COMMENT ON COLUMN added.n IS 'why'`)
    const after = await dumpSchema(db.pool)
    expect(after).toContain(`table added\n  n integer default 1 comment 'why'\n  t text collate C\n`)
    expect(after).toContain('CREATE INDEX added_t_idx ON added USING btree (t)')
    expect(after).toContain('constraint added_n_check CHECK ((n > 0))')
  })

  it('compares every identifier byte by byte, whatever the locale of the database', async () => {
    // Text under the database's own collation may only be content that is never compared or indexed.
    const result = await db.pool.query<{ name: string }>(
      `SELECT c.relname || '.' || a.attname AS name
       FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey) AND a.attcollation <> 0
       JOIN pg_collation k ON k.oid = a.attcollation
       WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'added' AND k.collname <> 'C'`,
    )
    expect(result.rows).toEqual([])
  })
})
