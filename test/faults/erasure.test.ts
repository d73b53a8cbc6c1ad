import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { silentLogger } from '../../src/log.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

const messages = 1_200
const rooms = 3

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess
let db: Database

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  server = await startServerProcess(database, folder.path)
  db = openDatabase(database.connection, silentLogger)
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  await db?.close()
  await database?.drop()
  await folder?.remove()
})

async function ask(method: string, path: string, token?: string, body?: JsonObject): Promise<JsonObject> {
  const answer = await fetch(`${server.url}/_matrix/client/v3${path}`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const json = (await answer.json()) as JsonObject // The server answers JSON objects only.
  if (answer.status !== 200) throw new Error(`${method} ${path} answered ${answer.status} ${JSON.stringify(json)}`)
  return json
}

const left = async () => {
  const { rows } = await db.pool.query<{ count: number }>(
    `SELECT count(*) AS count FROM events JOIN event_types USING (type_number) WHERE type = 'm.room.message' AND flags & 4 = 0`,
  )
  return rows[0]?.count ?? 0
}
const isFinished = async () =>
  (await db.pool.query('SELECT FROM erasures WHERE finished_on IS NOT NULL')).rowCount === 1

describe('promise 20: erasing an account, when the server is killed', () => {
  it('promise 20: goes on at the next start, and counts every message once', async () => {
    const password = 'long enough it is'
    const account = await ask('POST', '/register', undefined, { auth: { type: 'm.login.dummy' }, username: 'alice', password }) // prettier-ignore
    const token = String(account['access_token'])
    for (let number = 0; number < rooms; number += 1) {
      const roomId = encodeURIComponent(String((await ask('POST', '/createRoom', token, {}))['room_id']))
      for (let start = 0; start < messages / rooms; start += 50) {
        await Promise.all(
          Array.from({ length: 50 }, (_, offset) =>
            ask('PUT', `/rooms/${roomId}/send/m.room.message/${number}-${start + offset}`, token, { body: 'a canary' }),
          ),
        )
      }
    }
    expect(await left()).toBe(messages)
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password }
    // The answer may or may not come before the process is killed.
    void ask('POST', '/account/deactivate', token, { erase: true, auth }).catch(() => undefined)
    for (let tries = 0; (await left()) > messages - 200 && tries < 1_000; tries += 1) await new Promise(setImmediate)
    await server.end('SIGKILL')
    const afterFirst = await left()
    expect(afterFirst).toBeGreaterThan(0)
    expect(await isFinished()).toBe(false)

    server = await startServerProcess(database, folder.path)
    for (let tries = 0; (await left()) === afterFirst && tries < 1_000; tries += 1) await new Promise(setImmediate)
    await server.end('SIGKILL')
    server = await startServerProcess(database, folder.path)
    for (let tries = 0; !(await isFinished()) && tries < 5_000; tries += 1) await new Promise(setImmediate)
    expect(await isFinished()).toBe(true)
    expect(await tablesThatHold(db, { body: 'a canary' })).toEqual({})
    const { rows } = await db.pool.query<{ counts: { deleted: { events: number }; pruned: { events: number } } }>('SELECT counts::json FROM erasures') // prettier-ignore
    const counts = rows[0]?.counts
    // The last event of a room is its leaving, so no message is what the next event would be built on.
    expect(counts?.deleted.events).toBe(messages)
  }, 120_000)
})
