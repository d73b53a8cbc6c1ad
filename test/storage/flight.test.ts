import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type pg from 'pg'
import { silentLogger } from '../../src/log.ts'
import { DatabaseError, openClient } from '../../src/storage/database.ts'
import { runFlight } from '../../src/storage/flight.ts'
import { type TestDatabase, testDatabase } from '../harness/database.ts'

let database: TestDatabase
let client: pg.Client
beforeEach(async () => {
  database = await testDatabase()
  client = await openClient(database.connection, silentLogger)
  await client.query('CREATE TABLE kept (number integer PRIMARY KEY)')
})
afterEach(async () => {
  await client.end()
  await database.drop()
})

const keep = (number: number) => ({ name: 'keep', text: 'INSERT INTO kept VALUES ($1)', values: [number] })
const keepText = (number: number) => ({ name: 'keep_text', text: 'INSERT INTO kept VALUES ($1::text::integer)', values: [number] }) // prettier-ignore
const read = { name: 'read', text: 'SELECT number, NULL FROM kept ORDER BY number', values: [] }

const codeOf = (error: unknown) => (error instanceof DatabaseError ? error.code : error)

describe('a flight of statements', () => {
  it('gives the rows of each, which sees what those before it did, and commits', async () => {
    expect(await runFlight(client, [read, keep(1), keep(2), read])).toEqual([[], [], [], [['1', null], ['2', null]]]) // prettier-ignore
    await client.query('ROLLBACK')
    expect(await runFlight(client, [read])).toEqual([[['1', null], ['2', null]]]) // prettier-ignore
  })

  it('writes nothing when one of them fails, and says which fault it was', async () => {
    await runFlight(client, [keep(1)])
    const refused = await runFlight(client, [keep(2), keep(1), keep(3)]).catch(codeOf)
    expect(refused).toBe('23505')
    expect(await runFlight(client, [read])).toEqual([[['1', null]]])
  })

  it('writes nothing when it fails only as it commits', async () => {
    await client.query('CREATE TABLE parents (number integer PRIMARY KEY)')
    await client.query('ALTER TABLE kept ADD FOREIGN KEY (number) REFERENCES parents DEFERRABLE INITIALLY DEFERRED')
    expect(await runFlight(client, [keep(1), read]).catch(codeOf)).toBe('23503')
    expect(await runFlight(client, [read])).toEqual([[]])
  })

  it('prepares anew what a failure kept from being prepared', async () => {
    expect(await runFlight(client, [keep(1), keep(1), keepText(2), read]).catch(codeOf)).toBe('23505')
    for (const number of [1, 3]) await runFlight(client, [keep(number), keepText(number + 1)])
    expect((await runFlight(client, [read]))[0]).toHaveLength(4)
  })

  it('fails with its connection', async () => {
    const [pid] = (await runFlight(client, [{ name: 'pid', text: 'SELECT pg_backend_pid()', values: [] }]))[0] ?? []
    const sleeping = runFlight(client, [keep(1), { name: 'sleep', text: 'SELECT pg_sleep(60)', values: [] }])
    const other = await openClient(database.connection, silentLogger)
    await other.query('SELECT pg_terminate_backend($1)', [Number(pid?.[0])])
    const error: unknown = await sleeping.catch((reason: unknown) => reason)
    expect(error instanceof DatabaseError && error.isUnavailable).toBe(true)
    expect((await other.query('SELECT 1 FROM kept')).rows).toEqual([])
    await other.end()
  })
})
