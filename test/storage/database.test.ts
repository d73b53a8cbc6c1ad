import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sql } from 'kysely'
import pg from 'pg'
import { type Logger, silentLogger } from '../../src/log.ts'
import { type Database, DatabaseError, openDatabase, statement, transaction } from '../../src/storage/database.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

const addOne = statement<[number], { answer: number }>('test_add_one', 'SELECT $1::bigint + 1 AS answer')

let test: TestDatabase
let db: Database
beforeAll(async () => {
  test = await testDatabase({ empty: true })
  db = openDatabase({ url: test.url }, silentLogger)
  await db.pool.query('CREATE TABLE secrets (id integer PRIMARY KEY, word text NOT NULL CHECK (word <> $$no$$))')
})
afterAll(async () => {
  await db.close()
  await test.drop()
})

async function failure(work: Promise<unknown>): Promise<DatabaseError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error instanceof DatabaseError) return error
  throw new Error(`no DatabaseError but ${String(error)}`)
}

/** Rows of about a megabyte, none of whose strings is large enough for a space of its own. */
const megabyte = `SELECT repeat('x', 1000) || ($1::integer + n) AS word FROM generate_series(1, 1000) AS n`
const oneMegabyte = statement<[number], { word: string }>('test_megabyte', megabyte)

/** Collects garbage of the young generation alone. */
function collectYoung(): void {
  setFlagsFromString('--expose-gc')
  // What V8 puts there under this flag.
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void
  gc({ type: 'minor' })
}

/** Everything that a log or a debugger could show of an error. */
function shown(error: Error): string {
  const own = Object.getOwnPropertyNames(error).map(name => String(Reflect.get(error, name)))
  return [...own, JSON.stringify(error), String(error.cause)].join('\n')
}

describe('values from the database', () => {
  it('are numbers for big integers, refused beyond 2^53', async () => {
    const result = await db.pool.query('SELECT 9007199254740991::bigint AS n, ARRAY[1, NULL, -2]::bigint[] AS list')
    expect(result.rows).toEqual([{ n: 9007199254740991, list: [1, null, -2] }])
    await expect(db.pool.query('SELECT 9007199254740993::bigint')).rejects.toThrow('beyond 2^53')
    await expect(db.pool.query('SELECT ARRAY[9007199254740993]::bigint[]')).rejects.toThrow('beyond 2^53')
  })

  it('are days for dates, whatever the time zone', async () => {
    const result = await db.pool.query(`SELECT DATE '2026-03-01' AS day`)
    expect(result.rows).toEqual([{ day: '2026-03-01' }])
  })
})

describe('errors from the database', () => {
  const word = 'xyzzy-private'

  it('carry the code, the constraint and the table, and nothing that came from a row or a parameter', async () => {
    await db.pool.query('INSERT INTO secrets VALUES (1, $1)', [word])
    const failures = [
      db.pool.query('INSERT INTO secrets VALUES (1, $1)', [word]),
      db.pool.query('INSERT INTO secrets VALUES ($1, $2)', [word, word]),
      sql`INSERT INTO secrets VALUES (2, ${'no'}), (3, ${word})`.execute(db.kysely),
      sql`SELECT ${word}::integer`.execute(db.kysely),
      transaction(db, tx => sql`INSERT INTO secrets VALUES (1, ${word})`.execute(tx)),
    ]
    for (const work of failures) {
      const error = await failure(work)
      expect(shown(error)).not.toContain(word)
      expect(error.code).toMatch(/^2[23]/)
    }
    const duplicate = await failure(db.pool.query('INSERT INTO secrets VALUES (1, $1)', [word]))
    expect(duplicate).toMatchObject({ code: '23505', constraint: 'secrets_pkey', table: 'secrets' })
    expect(duplicate.isUniqueViolation('secrets_pkey')).toBe(true)
    expect(duplicate.isUniqueViolation('another')).toBe(false)
  })

  it('keep the complaint about the statement itself, which is ours', async () => {
    const error = await failure(db.pool.query('SELECT missing FROM secrets WHERE word = $1', [word]))
    expect(error.message).toContain('column "missing" does not exist')
    expect(shown(error)).not.toContain(word)
  })

  it('say that the database is away when it is', async () => {
    const nowhere = openDatabase({ url: 'postgres://u:p@127.0.0.1:1/x' }, silentLogger)
    const error = await failure(nowhere.pool.query('SELECT 1'))
    expect(error).toMatchObject({ code: 'ECONNREFUSED', isUnavailable: true })
    const viaKysely = await failure(transaction(nowhere, tx => sql`SELECT 1`.execute(tx)))
    expect(viaKysely.isUnavailable).toBe(true)
    expect((await failure(addOne.run(nowhere.kysely, [1]))).isUnavailable).toBe(true)
    await nowhere.close()
  })

  it('do not end the process when a checked-out connection is lost between two queries', async () => {
    const warnings: unknown[] = []
    const log: Logger = { ...silentLogger, warn: (message, fields) => warnings.push([message, fields]) }
    const other = openDatabase({ url: test.url }, log)
    const client = await other.pool.connect()
    const lost = new Promise(resolve => client.once('end', () => resolve(true)))
    const own = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await db.pool.query('SELECT pg_terminate_backend($1)', [own.rows[0]?.pid])
    await lost
    const error = await failure(client.query('SELECT 1'))
    expect(error.isUnavailable).toBe(true)
    client.release(true)
    expect((await other.pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    expect(warnings.length).toBeGreaterThan(0)
    await other.close()
  })
})

describe('a transaction', () => {
  it('commits what it did, and nothing when its work throws', async () => {
    await transaction(db, tx => sql`INSERT INTO secrets VALUES (10, 'a')`.execute(tx))
    const wanted = new Error('changed my mind')
    const work = transaction(db, async tx => {
      await sql`INSERT INTO secrets VALUES (11, 'b')`.execute(tx)
      throw wanted
    })
    await expect(work).rejects.toBe(wanted)
    const result = await db.pool.query('SELECT id FROM secrets WHERE id IN (10, 11)')
    expect(result.rows).toEqual([{ id: 10 }])
  })

  it('is run again after a serialisation failure, and only so often', async () => {
    await db.pool.query(`INSERT INTO secrets VALUES (20, 'start')`)
    let runs = 0
    await transaction(
      db,
      async tx => {
        runs += 1
        await sql`SELECT word FROM secrets WHERE id = 20`.execute(tx)
        // Another transaction is faster, the first time.
        if (runs === 1) await db.pool.query(`UPDATE secrets SET word = 'other' WHERE id = 20`)
        await sql`UPDATE secrets SET word = word || '!' WHERE id = 20`.execute(tx)
      },
      { isolation: 'repeatable read' },
    )
    expect(runs).toBe(2)
    expect((await db.pool.query('SELECT word FROM secrets WHERE id = 20')).rows).toEqual([{ word: 'other!' }])

    let attempts = 0
    const hopeless = transaction(
      db,
      async tx => {
        attempts += 1
        await sql`SELECT word FROM secrets WHERE id = 20`.execute(tx)
        await db.pool.query(`UPDATE secrets SET word = 'again' WHERE id = 20`)
        await sql`UPDATE secrets SET word = word || '!' WHERE id = 20`.execute(tx)
      },
      { isolation: 'repeatable read', retries: 1 },
    )
    expect((await failure(hopeless)).code).toBe('40001')
    expect(attempts).toBe(2)
  })

  it('fails when a statement failed and nobody said so', async () => {
    const work = transaction(db, async tx => {
      await sql`SELECT 1 / 0`.execute(tx).catch(() => undefined)
    })
    expect((await failure(work)).code).toBe('25P02')
  })

  it('refuses to write when it is read-only', async () => {
    const work = transaction(db, tx => sql`DELETE FROM secrets`.execute(tx), { readOnly: true })
    expect((await failure(work)).code).toBe('25006')
  })
})

describe('a prepared statement', () => {
  it('runs on the shared connection, in a transaction and on a raw connection', async () => {
    expect(await addOne.first(db.kysely, [41])).toEqual({ answer: 42 })
    expect(await transaction(db, tx => addOne.run(tx, [1]))).toEqual([{ answer: 2 }])
    const client = await db.pool.connect()
    expect((await client.query(addOne.query([2]))).rows).toEqual([{ answer: 3 }])
    const prepared = await client.query(`SELECT name FROM pg_prepared_statements`)
    expect(prepared.rows).toEqual([{ name: 'test_add_one' }])
    client.release()
  })

  it('sees what its transaction wrote', async () => {
    const count = statement<[number], { word: string }>('test_word', 'SELECT word FROM secrets WHERE id = $1')
    await transaction(db, async tx => {
      await sql`INSERT INTO secrets VALUES (30, 'fresh')`.execute(tx)
      expect(await count.first(tx, [30])).toEqual({ word: 'fresh' })
      expect(await count.first(db.kysely, [30])).toBeNull()
    })
  })

  it('answers many at once in order', async () => {
    const numbers = Array.from({ length: 500 }, (_, index) => index)
    const answers = await Promise.all(numbers.map(number => addOne.first(db.kysely, [number])))
    expect(answers).toEqual(numbers.map(number => ({ answer: number + 1 })))
  })

  it('goes on when its connection is lost', async () => {
    await addOne.first(db.kysely, [1])
    await db.pool.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    )
    const answers = await Promise.all([1, 2, 3].map(number => addOne.first(db.kysely, [number])))
    expect(answers).toEqual([{ answer: 2 }, { answer: 3 }, { answer: 4 }])
    expect(await addOne.first(db.kysely, [9])).toEqual({ answer: 10 })
  })

  it('keeps its name to itself', () => {
    expect(() => statement('test_add_one', 'SELECT 2 AS two')).toThrow('two statements')
    expect(() => statement('x'.repeat(64), 'SELECT 3 AS three')).toThrow('too long')
  })
})

describe('rows that nobody needs any more', () => {
  const megabytes = 60
  /** Repeats a query and tells how many MiB are left on the heap when the young garbage is gone. */
  async function leftBy(query: (index: number) => Promise<unknown>): Promise<number> {
    for (let index = 0; index < 5; index++) await query(index)
    collectYoung()
    collectYoung()
    const before = process.memoryUsage().heapUsed
    for (let index = 0; index < megabytes; index++) await query(index)
    collectYoung()
    collectYoung()
    return (process.memoryUsage().heapUsed - before) / 1_048_576
  }

  it('do not wait for a full collection of garbage, whichever way they were asked for', async () => {
    const client = await db.pool.connect()
    try {
      const ways: Record<string, (index: number) => Promise<unknown>> = {
        pool: index => db.pool.query(megabyte, [index]),
        client: index => client.query(megabyte, [index]),
        'shared connection': index => oneMegabyte.run(db.kysely, [index]),
        kysely: index =>
          sql`SELECT repeat('x', 1000) || (${index}::integer + n) AS word
          FROM generate_series(1, 1000) AS n`.execute(db.kysely),
      }
      for (const [way, query] of Object.entries(ways))
        expect([way, (await leftBy(query)) < megabytes / 4]).toEqual([way, true])
    } finally {
      client.release()
    }
  })
})

describe('a connection', () => {
  it('is opened with limits and the project’s name', async () => {
    const result = await db.pool.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name IN
       ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'application_name') ORDER BY name`,
    )
    expect(Object.fromEntries(result.rows.map(row => [row.name, row.setting]))).toEqual({
      application_name: 'lethe',
      idle_in_transaction_session_timeout: '15000',
      lock_timeout: '5000',
      statement_timeout: '30000',
    })
  })

  it('is closed with the database, the shared one as well', async () => {
    const other = openDatabase({ url: `${test.url}?application_name=x` }, silentLogger)
    await addOne.first(other.kysely, [1])
    await other.pool.query('SELECT 1')
    await Promise.all([other.close(), other.close()])
    expect((await failure(other.pool.query('SELECT 1'))).isUnavailable).toBe(true)
    expect(other.pool).toBeInstanceOf(pg.Pool)
  })
})
