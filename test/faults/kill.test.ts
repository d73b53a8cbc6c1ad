import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

const rounds = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 4)
const writers = 12

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let server: ServerProcess

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  server = await startServerProcess(database, folder.path)
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  await database?.drop()
  await folder?.remove()
})

/** The answer, or `null` when there was none: the process was killed, or is not there. */
async function ask(
  method: string,
  path: string,
  token?: string,
  body?: JsonObject,
): Promise<{ status: number; json: JsonObject } | null> {
  try {
    const response = await fetch(`${server.url}/_matrix/client/v3${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    // The server answers JSON objects only.
    return { status: response.status, json: (await response.json()) as JsonObject }
  } catch {
    return null
  }
}

async function expectJson(method: string, path: string, token?: string, body?: JsonObject): Promise<JsonObject> {
  const answer = await ask(method, path, token, body)
  if (answer?.status !== 200) throw new Error(`${method} ${path} answered ${JSON.stringify(answer)}`)
  return answer.json
}

/** The bodies of the room's messages, oldest first, by walking it from its beginning. */
async function historyOf(roomId: string, token: string): Promise<{ eventId: string; body: string }[]> {
  const found: { eventId: string; body: string }[] = []
  for (let from: string | undefined = undefined; ;) {
    const query: string = new URLSearchParams({
      dir: 'f',
      limit: '100',
      ...(from === undefined ? {} : { from }),
    }).toString()
    const page: JsonObject = await expectJson('GET', `/rooms/${encodeURIComponent(roomId)}/messages?${query}`, token)
    for (const event of Array.isArray(page['chunk']) ? page['chunk'] : []) {
      if (!isJsonObject(event) || event['type'] !== 'm.room.message' || !isJsonObject(event['content'])) continue
      found.push({ eventId: String(event['event_id']), body: String(event['content']['body']) })
    }
    if (typeof page['end'] !== 'string') return found
    from = page['end']
  }
}

describe('a server that is killed under load', () => {
  it(
    'has every acknowledged event exactly once, in the order it was told, and answers repetitions alike',
    async () => {
      const account = await expectJson('POST', '/register', undefined, { auth: { type: 'm.login.dummy' }, username: 'alice', password: 'long enough it is' }) // prettier-ignore
      const token = String(account['access_token'])
      const roomId = String((await expectJson('POST', '/createRoom', token, { preset: 'private_chat' }))['room_id'])
      const acknowledged = new Map<string, string>()
      const since = String((await expectJson('GET', '/sync', token))['next_batch'])

      for (let round = 0; round < rounds; round++) {
        let isOver = false
        let sent = 0
        const lastOf: string[] = []
        const running = Array.from({ length: writers }, async (_, writer) => {
          for (let number = 0; !isOver; number++) {
            const body = `${round}-${writer}-${number}`
            lastOf[writer] = body
            const answer = await ask('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, token, {
              body,
            })
            if (answer?.status === 200) {
              acknowledged.set(body, String(answer.json['event_id']))
              sent += 1
            }
          }
        })
        while (sent < 100 + 37 * round) await new Promise(setImmediate)
        isOver = true
        await server.end('SIGKILL')
        await Promise.all(running)
        server = await startServerProcess(database, folder.path)
        // What was not answered is asked again, under the same transaction ID; so is something that was.
        for (const body of [...lastOf, ...[...acknowledged.keys()].slice(-3)]) {
          const answer = await expectJson('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, token, { body }) // prettier-ignore
          const before = acknowledged.get(body)
          if (before !== undefined) expect(answer['event_id']).toBe(before)
          acknowledged.set(body, String(answer['event_id']))
        }
      }

      const history = await historyOf(roomId, token)
      expect(new Set(history.map(({ eventId }) => eventId)).size).toBe(history.length)
      expect(new Set(history.map(({ body }) => body)).size).toBe(history.length)
      const stored = new Map(history.map(({ body, eventId }) => [body, eventId]))
      expect([...acknowledged].filter(([body, eventId]) => stored.get(body) !== eventId)).toEqual([])

      // A client that held a token from before all this is told of all of it, in the same order.
      const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }))
      const told = await expectJson('GET', `/sync?since=${since}&filter=${filter}`, token)
      const rooms = isJsonObject(told['rooms']) && isJsonObject(told['rooms']['join']) ? told['rooms']['join'] : {}
      const room = rooms[roomId]
      const timeline = isJsonObject(room) && isJsonObject(room['timeline']) ? room['timeline'] : {}
      const events = Array.isArray(timeline['events']) ? timeline['events'] : []
      expect(events.map(event => (isJsonObject(event) ? event['event_id'] : null))).toEqual(history.slice(-events.length).map(({ eventId }) => eventId)) // prettier-ignore
      expect(timeline['limited']).toBe(true)
    },
    120_000 + rounds * 15_000,
  )

  it('drains when it is told to stop: who waits is answered, and the process ends by itself', async () => {
    const account = await expectJson('POST', '/register', undefined, { auth: { type: 'm.login.dummy' }, username: 'bob', password: 'long enough it is' }) // prettier-ignore
    const token = String(account['access_token'])
    const { next_batch: since } = await expectJson('GET', '/sync', token)
    const waiting = ask('GET', `/sync?since=${String(since)}&timeout=60000`, token)
    // The poll is under way once the server has answered something that was sent after it.
    await expectJson('GET', '/account/whoami', token)
    const code = await server.end('SIGTERM')
    expect((await waiting)?.status).toBe(200)
    expect(code).toBe(0)
    server = await startServerProcess(database, folder.path)
  }, 60_000)

  it('serves with another process on the same database: what one is told, the other tells', async () => {
    const other = await startServerProcess(database, folder.path)
    try {
      const account = await expectJson('POST', '/register', undefined, { auth: { type: 'm.login.dummy' }, username: 'carol', password: 'long enough it is' }) // prettier-ignore
      const token = String(account['access_token'])
      const roomId = String((await expectJson('POST', '/createRoom', token, { preset: 'private_chat' }))['room_id'])
      const { next_batch: since } = await expectJson('GET', '/sync', token)
      const authorization = `Bearer ${token}`
      // A token of the one is good at the other, which waits until it has caught up.
      const waiting = fetch(`${other.url}/_matrix/client/v3/sync?since=${String(since)}&timeout=20000`, { headers: { authorization } }) // prettier-ignore
      const sent = await expectJson('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/x`, token, { body: 'across' }) // prettier-ignore
      expect(await (await waiting).text()).toContain(String(sent['event_id']))
      await expectJson('POST', '/logout', token, {})
      let status = 200
      for (const start = performance.now(); status !== 401 && performance.now() - start < 1_000;) {
        status = (await fetch(`${other.url}/_matrix/client/v3/account/whoami`, { headers: { authorization } })).status
      }
      expect(status).toBe(401)
    } finally {
      expect(await other.end('SIGTERM')).toBe(0)
    }
  }, 60_000)
})
