import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../src/log.ts'
import { lockKeys, type LockName, whileAlone } from '../../src/storage/advisory-lock.ts'
import { type Database, DatabaseError, openDatabase } from '../../src/storage/database.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase()
})
afterAll(() => database.drop())

let here: Database
let there: Database
beforeEach(() => {
  here = openDatabase(database.connection, silentLogger, { poolSize: 2 })
  there = openDatabase(database.connection, silentLogger, { poolSize: 2 })
})
afterEach(async () => {
  await Promise.all([here.close(), there.close()])
})

const names = ['sweeper', 'eraser', 'background_jobs', 'set_back'] as const satisfies readonly LockName[]

describe('what only one may do at a time', () => {
  it('is done by one, in this process and in others', async () => {
    const found = await whileAlone(here, 'sweeper', () =>
      Promise.all([
        whileAlone(here, 'sweeper', () => Promise.resolve('done')),
        whileAlone(there, 'sweeper', () => Promise.resolve('done')),
      ]),
    )
    expect(found).toEqual([null, null])
    expect(await whileAlone(there, 'sweeper', () => Promise.resolve('done'))).toBe('done')
  })

  it('may be taken up at once when it was done, and when it failed', async () => {
    for (let round = 0; round < 20; round++) {
      expect(await whileAlone(round % 2 ? here : there, 'sweeper', () => Promise.resolve(round))).toBe(round)
      await expect(whileAlone(here, 'sweeper', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    }
  })

  it('leaves the pool to the work, however much is done at the same time', async () => {
    const work = names.map(name =>
      whileAlone(here, name, async () => {
        await new Promise(resolve => setTimeout(resolve, 50))
        const { rows } = await here.pool.query<{ at: number }>('SELECT 1 AS at, pg_sleep(0.05)')
        return rows[0]?.at
      }),
    )
    expect(await Promise.all(work)).toEqual([1, 1, 1, 1])
  })

  it('tells in the end that the lock was lost meanwhile, and may be taken up by others', async () => {
    const lost = whileAlone(here, 'sweeper', async () => {
      await there.pool.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
          WHERE locktype = 'advisory' AND objid = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        [lockKeys.sweeper],
      )
      return whileAlone(there, 'sweeper', () => Promise.resolve('begun'))
    })
    await expect(lost).rejects.toThrow(DatabaseError)
    expect(await whileAlone(here, 'sweeper', () => Promise.resolve('again'))).toBe('again')
  })
})
