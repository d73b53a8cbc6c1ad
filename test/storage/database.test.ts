import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../src/log.ts'
import { openDatabase, type Database } from '../../src/storage/database.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

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

describe('a database', () => {
  it('reads big integers as numbers', async () => {
    const result = await db.pool.query('SELECT 9007199254740991::bigint AS n, ARRAY[1, NULL]::bigint[] AS list')
    expect(result.rows).toEqual([{ n: 9007199254740991, list: [1, null] }])
  })
})
