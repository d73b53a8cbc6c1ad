import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../src/log.ts'
import { erasedLater } from '../../src/privacy/erase.ts'
import { inventory, type TableEntry } from '../../src/privacy/inventory.ts'
import { lifetimeDays } from '../../src/privacy/lifetimes.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { sealedColumns } from '../../src/storage/open-own-rows.ts'
import { countOwnRows, ownRows } from '../../src/storage/own-rows.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

let test: TestDatabase
let db: Database
beforeAll(async () => {
  test = await testDatabase()
  db = openDatabase(test.connection, silentLogger)
})
afterAll(async () => {
  await db.close()
  await test.drop()
})

const tables: readonly (readonly [string, TableEntry])[] = Object.entries(inventory)

/** `table.column` of everything that the catalogue knows, views and partitions included. */
async function catalogue(): Promise<string[]> {
  const { rows } = await db.pool.query<{ name: string }>(
    `SELECT c.relname || '.' || a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped`,
  )
  return rows.map(row => row.name).sort()
}

describe('the inventory', () => {
  it('has every column of the database, and no other', async () => {
    const declared = tables.flatMap(([table, entry]) => Object.keys(entry.columns).map(column => `${table}.${column}`))
    expect(declared.sort()).toEqual(await catalogue())
  })

  it('is compared with what is really there: a new column and a new table are seen', async () => {
    const before = await catalogue()
    await db.pool.query('ALTER TABLE receipts ADD address text; CREATE TABLE visits (seen_on date)')
    const added = (await catalogue()).filter(name => !before.includes(name))
    await db.pool.query('ALTER TABLE receipts DROP address; DROP TABLE visits')
    expect(added).toEqual(['receipts.address', 'visits.seen_on'])
  })

  it('says in a sentence what each table and column is for', () => {
    const purposes = tables.flatMap(([, entry]) =>
      [entry, ...Object.values(entry.columns)].map(({ purpose }) => purpose),
    )
    expect(purposes.filter(purpose => !/^[A-Z].{4,}\.$/.test(purpose))).toEqual([])
  })

  it('gives days to those tables that the sweeper gives them to, and the same number', () => {
    const days = tables.flatMap(([table, { lifetime }]) =>
      typeof lifetime === 'object' ? [[table, lifetime.days]] : [],
    )
    expect(Object.fromEntries(days)).toEqual(lifetimeDays)
  })

  it('lets nothing live until a time that it does not name', async () => {
    const timed = tables.filter(([, { lifetime }]) => lifetime === 'until it expires')
    const without = timed.filter(([, { columns }]) => !('expires_ts' in columns || 'remove_ts' in columns))
    expect(without.map(([table]) => table)).toEqual([])
    const { rows } = await db.pool.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.columns WHERE table_schema = 'public'
         AND column_name IN ('expires_ts', 'remove_ts') AND is_nullable = 'NO'`,
    )
    const declared = new Set(timed.map(([table]) => table))
    expect(rows.map(row => row.name).filter(name => !declared.has(name))).toEqual([])
  })

  it('calls personal whatever stands for a user or a device', () => {
    const wrong = tables.flatMap(([table, { columns }]) =>
      Object.entries(columns)
        .filter(
          ([column, { isPersonal }]) =>
            !isPersonal && /^(user|sender|creator|signer|target)_|device_id|user_id/.test(column),
        )
        .map(([column]) => `${table}.${column}`),
    )
    expect(wrong).toEqual([])
  })

  it('has a way from a user to their rows in every table of users, which the database can go', async () => {
    const owner = { userId: '@nobody:lethe.test' as UserId, userNumber: -1 } // It has the grammar of one.
    for (const [table, entry] of tables) {
      // The names come from the object itself.
      const name = table as keyof typeof inventory
      if (entry.ways === undefined) expect([table, entry.whose, entry.erasure]).not.toEqual([table, 'user', undefined])
      else expect([table, await countOwnRows(db.kysely, inventory, name, owner)]).toEqual([table, 0])
      const columns = Object.keys(entry.columns)
      if (entry.ways) await ownRows(db.kysely, inventory, name, columns, owner, null, 1)
    }
  })

  it('says of every column that holds a user how it is a way to their rows', () => {
    const missing = tables.flatMap(([table, { columns, ways = [] }]) =>
      Object.keys(columns)
        .filter(column => /^(user|sender|creator|signer|target)_number$/.test(column))
        .filter(column => !ways.some(way => 'number' in way && way.number === column))
        .map(column => `${table}.${column}`),
    )
    expect(missing).toEqual([])
  })

  it('shows no hashes of what people prove with who they are', () => {
    const shown = tables.flatMap(([table, { columns, whose }]) =>
      Object.entries(columns)
        .filter(([column, { isSecret }]) => whose === 'user' && /_hash$/.test(column) && !isSecret)
        .map(([column]) => `${table}.${column}`),
    )
    // It is over who asked for what, and proves nothing.
    expect(shown).toEqual(['transactions.request_hash'])
  })

  it('knows how to open every sealed column for whom it is about', async () => {
    const { rows } = await db.pool.query<{ table: string; column: string }>(
      `SELECT table_name AS table, column_name AS column FROM information_schema.columns
       WHERE table_schema = 'public' AND data_type = 'bytea'`,
    )
    const ofUsers = new Map(tables.flatMap(([table, entry]) => (entry.ways ? [[table, entry] as const] : [])))
    const unknown = rows.filter(({ table, column }) => {
      const entry = ofUsers.get(table)
      return entry && entry.columns[column]?.isSecret !== true && !(`${table}.${column}` in sealedColumns)
    })
    // Hashes of files and of requests, which are shown as they are.
    const shown = unknown.map(({ table, column }) => `${table}.${column}`).sort()
    expect(shown).toEqual(['media.sha256', 'transactions.request_hash'])
  })

  it('tells the erased person in a sentence why something is kept', () => {
    const reasons = tables.flatMap(([, { erasure }]) => (typeof erasure === 'object' ? [erasure.kept] : []))
    expect(reasons.filter(reason => !/^[A-Z].{10,}\.$/.test(reason))).toEqual([])
  })

  it('says in a sentence why something outlives an account that erasing would delete', () => {
    const outliving = tables.filter(([, { deactivation }]) => deactivation !== undefined)
    expect(outliving.filter(([, { erasure }]) => erasure !== 'deleted').map(([table]) => table)).toEqual([])
    const reasons = outliving.map(([, { deactivation }]) => deactivation?.kept ?? '')
    expect(reasons.filter(reason => !/^[A-Z].{10,}\.$/.test(reason))).toEqual([])
    // What is too much for one transaction of an erasing is too much for a deactivation.
    const names = new Set(outliving.map(([table]) => table))
    expect([...erasedLater].filter(table => !names.has(table))).toEqual([])
  })

  it('has no place for addresses, agents, e-mail, or times of use', () => {
    const names = tables.flatMap(([table, { columns }]) => Object.keys(columns).map(column => `${table}.${column}`))
    expect(
      names.filter(name => /(^|[._])(ip|address|agent|email|phone|msisdn|visit)s?($|_)|last_seen_ts/.test(name)),
    ).toEqual([])
  })
})
