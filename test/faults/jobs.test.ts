import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLogger } from '../../src/log.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

const settings = { LETHE_ADMIN__ON_PUBLIC_LISTENER: 'true' }
const client = '/_matrix/client/v3'
const admin = '/_synapse/admin'
const encode = encodeURIComponent

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess
let db: Database
let root: string
let alice: string
let counter = 0

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  server = await startServerProcess(database, folder.path, 0, settings)
  db = openDatabase(database.connection, silentLogger)
  await register('root')
  await db.pool.query(`UPDATE accounts SET is_admin = true WHERE user_number = (SELECT user_number FROM users WHERE user_id = '@root:lethe.test')`) // prettier-ignore
  // The server remembers sessions, not accounts.
  root = String((await ask('POST', `${client}/login`, undefined, { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'root' }, password }))['access_token']) // prettier-ignore
  alice = await register('alice')
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  await db?.close()
  await database?.drop()
  await folder?.remove()
})

const password = 'long enough it is'

async function ask(method: string, path: string, token?: string, body?: JsonObject): Promise<JsonObject> {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const json = (await answer.json()) as JsonObject // The server answers JSON objects only.
  if (answer.status !== 200) throw new Error(`${method} ${path} answered ${answer.status} ${JSON.stringify(json)}`)
  return json
}

async function register(username: string): Promise<string> {
  const body = { auth: { type: 'm.login.dummy' }, username, password }
  return String((await ask('POST', `${client}/register`, undefined, body))['access_token'])
}

async function makeRoom(messages: number): Promise<string> {
  const room = String((await ask('POST', `${client}/createRoom`, alice, { preset: 'public_chat' }))['room_id'])
  for (let start = 0; start < messages; start += 50) {
    const send = () => ask('PUT', `${client}/rooms/${encode(room)}/send/m.room.message/${++counter}`, alice, { body: `a canary of ${room}` }) // prettier-ignore
    await Promise.all(Array.from({ length: Math.min(50, messages - start) }, send))
  }
  return room
}

const count = async (text: string, values: unknown[] = []) =>
  (await db.pool.query<{ count: number }>(text, values)).rows[0]?.count ?? 0

/** How many messages of a room stand with what they said. */
const messagesIn = (room: string) =>
  count(
    `SELECT count(*) AS count FROM events e JOIN rooms USING (room_number) JOIN event_types y USING (type_number)
     WHERE room_id = $1 AND y.type = 'm.room.message' AND e.flags & 4 = 0`,
    [room],
  )

/** Kills the server as soon as something is so, and starts it anew. */
async function killWhen(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 5_000 && !(await isSo()); tries++) await new Promise(setImmediate)
  await server.end('SIGKILL')
  server = await startServerProcess(database, folder.path, 0, settings)
}

async function untilEnded(path: string): Promise<JsonObject> {
  for (let tries = 0; tries < 600; tries++) {
    const answer = await ask('GET', path, root)
    if (answer['status'] === 'complete' || answer['status'] === 'failed') return answer
    await sleep(50)
  }
  throw new Error('the job did not end')
}

/** What the list of tasks says of the jobs about something. */
async function tasksAbout(target: string): Promise<JsonObject[]> {
  const { scheduled_tasks: tasks } = await ask('GET', `${admin}/v1/scheduled_tasks?resource_id=${encode(target)}`, root)
  return Array.isArray(tasks) ? tasks.filter(isJsonObject) : []
}

/** True while a number lies between what it was at first and nothing. */
const isUnderWay = (room: string, all: number) => async () => {
  const left = await messagesIn(room)
  return left < all && left > 0
}

describe('work that an administrator ordered, when the server is killed', () => {
  it('purges a room’s history to the end, and counts every message once', async () => {
    const messages = 1_500
    const room = await makeRoom(messages)
    const body = { purge_up_to_ts: Date.now() + 60_000, delete_local_events: true }
    const { purge_id: id } = await ask('POST', `${admin}/v1/purge_history/${encode(room)}`, root, body)
    await killWhen(isUnderWay(room, messages))
    const between = await messagesIn(room)
    await killWhen(isUnderWay(room, between))
    expect(await untilEnded(`${admin}/v1/purge_history_status/${String(id)}`)).toEqual({ status: 'complete' })
    expect(await tasksAbout(room)).toMatchObject([{ status: 'complete' }])
    const [task] = await tasksAbout(room)
    const deleted = isJsonObject(task?.['result']) ? Number(task['result']['deletedEvents']) : NaN
    // The last message is what the next is built on: it stays.
    expect([deleted, await messagesIn(room)]).toEqual([messages - 1, 1])
  }, 120_000)

  it('redacts every message once', async () => {
    const messages = 400
    const room = await makeRoom(messages)
    const { redact_id: id } = await ask('POST', `${admin}/v1/user/${encode('@alice:lethe.test')}/redact`, root, { rooms: [room] }) // prettier-ignore
    await killWhen(isUnderWay(room, messages))
    await killWhen(isUnderWay(room, await messagesIn(room)))
    const done = await untilEnded(`${admin}/v1/user/redact_status/${String(id)}`)
    expect(done).toEqual({ status: 'complete', failed_redactions: {} })
    expect(await messagesIn(room)).toBe(0)
    const redactions = await count(
      `SELECT count(*) AS count FROM events JOIN rooms USING (room_number) JOIN event_types y USING (type_number)
       WHERE room_id = $1 AND y.type = 'm.room.redaction'`,
      [room],
    )
    expect(redactions).toBe(messages)
    expect(await tasksAbout('@alice:lethe.test')).toMatchObject([
      { status: 'complete', result: { redacted: messages } },
    ])
  }, 120_000)

  it('empties a room, moves everybody into one in its place, and deletes it', async () => {
    const [messages, members] = [1_500, 30]
    const room = await makeRoom(messages)
    const names: string[] = []
    for (let number = 0; number < members; number++) {
      const token = await register(`member${number}`)
      names.push(`@member${number}:lethe.test`)
      await ask('POST', `${client}/join/${encode(room)}`, token, {})
    }
    const joined = () =>
      count(`SELECT count(*) AS count FROM memberships JOIN rooms USING (room_number) WHERE room_id = $1 AND membership = 'join'`, [room]) // prettier-ignore
    const rooms = await count('SELECT count(*) AS count FROM rooms')
    const body = { new_room_user_id: '@root:lethe.test', message: 'This room is closed', purge: true }
    const { delete_id: id } = await ask('DELETE', `${admin}/v2/rooms/${encode(room)}`, root, body)
    // While the room in its place is made, while people leave, while rows go.
    await killWhen(async () => (await count('SELECT count(*) AS count FROM rooms')) > rooms)
    await killWhen(async () => (await joined()) < members - 3)
    await killWhen(isUnderWay(room, messages))
    const done = await untilEnded(`${admin}/v2/rooms/delete_status/${String(id)}`)
    expect(done['status']).toBe('complete')
    const outcome = isJsonObject(done['shutdown_room']) ? done['shutdown_room'] : {}
    expect(outcome['kicked_users']).toEqual(expect.arrayContaining([...names, '@alice:lethe.test']))
    expect([outcome['failed_to_kick_users'], (outcome['kicked_users'] as string[]).length]).toEqual([[], members + 1])
    // One room in its place, with one message, and everybody in it.
    expect(await count('SELECT count(*) AS count FROM rooms')).toBe(rooms)
    const instead = encode(String(outcome['new_room_id']))
    const { chunk } = await ask('GET', `${client}/rooms/${instead}/messages?dir=b&limit=100`, root)
    const said = Array.isArray(chunk) ? chunk.filter(isJsonObject).filter(event => event['type'] === 'm.room.message') : [] // prettier-ignore
    expect(said).toHaveLength(1)
    const { members: inside } = await ask('GET', `${admin}/v1/rooms/${instead}/members`, root)
    expect(inside).toEqual(expect.arrayContaining([...names, '@alice:lethe.test', '@root:lethe.test']))
  }, 180_000)

  it('sweeps what a killed sweep has left', async () => {
    const { sweep_id: id } = await ask('POST', '/_lethe/admin/v1/retention/sweep', root)
    await server.end('SIGKILL')
    server = await startServerProcess(database, folder.path, 0, settings)
    expect(await untilEnded(`/_lethe/admin/v1/retention/sweep/${String(id)}`)).toMatchObject({ status: 'complete' })
  }, 60_000)
})
