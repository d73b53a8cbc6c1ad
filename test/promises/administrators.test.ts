import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { adminRoutes } from '../../src/api/admin/routes.ts'
import { routes } from '../../src/api/routes.ts'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { registerAdmin } from '../admin/people.ts'
import { exchange } from '../harness/exchange.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { fillPath, type PathValues, sampleQuery } from '../house/samples.ts'

const canary = 'canary-of-a-conversation'

let server: TestServer
let alice: Person
let admin: Person
let room: string
let eventId: string
let values: PathValues

beforeAll(async () => {
  server = await startTestServer({ settings: { admin: { on_public_listener: true } } })
  alice = await register(server, 'alice')
  admin = await registerAdmin(server, 'admin')
  room = await alice.createRoom({ preset: 'private_chat' })
  eventId = await alice.send(room, canary)
  await alice.put(path`/user/${alice.userId}/account_data/org.example.note`, { note: canary })
  await alice.put(path`/user/${alice.userId}/rooms/${room}/account_data/org.example.note`, { note: canary })
  values = {
    userId: alice.userId, roomId: room, roomIdOrAlias: room, eventId, deviceId: alice.deviceId, roomAlias: '#a:lethe.test',
    serverName: 'lethe.test', mediaId: 'unknownmediaid000000', token: 'unknown', deleteId: 'x', redactId: 'x', purgeId: 'x',
  } // prettier-ignore
})
afterAll(() => server.close())

const ask = (endpoint: Endpoint, body: Record<string, string> | undefined) =>
  exchange(server.url, {
    method: endpoint.method,
    target: fillPath(endpoint.paths[0] ?? '', values) + sampleQuery(endpoint),
    token: admin.accessToken,
    body,
  })
/** What would be the end of the account or the room is not what this is about: those are recorded, and seen by everybody. */
const isHarmless = ({ method, paths }: Endpoint) => method !== 'DELETE' && !/deactivate|register|reset_password|purge|redact/.test(paths[0] ?? '') // prettier-ignore
const isFor = ({ auth }: Endpoint) => auth === 'admin'

describe('promise 24: administrators cannot read messages or become you', () => {
  it('by none of their endpoints, whatever they put into them', async () => {
    const told = adminRoutes.filter(isFor).filter(isHarmless)
    expect(told.length).toBeGreaterThan(15)
    const before = await uses()
    const statuses = new Set<number>()
    for (const endpoint of told) {
      const bodies = endpoint.method === 'GET' ? [undefined] : [{}, { user_id: admin.userId }]
      for (const body of bodies) {
        const done = await ask(endpoint, body)
        const where = `${endpoint.method} ${endpoint.paths[0]}`
        statuses.add(done.status)
        expect([where, done.bytes.includes(canary)]).toEqual([where, false])
        expect([where, done.bytes.includes('access_token')]).toEqual([where, false])
        expect(done.status).toBeLessThan(500)
      }
    }
    // Most were answered: a test in which all was refused would say nothing.
    expect([...statuses]).toEqual(expect.arrayContaining([200, 403]))
    expect(await uses()).toBeGreaterThan(before + 15)
    expect((await alice.get(path`/rooms/${room}/joined_members`))['joined']).toEqual({
      [alice.userId]: expect.anything(),
    })
  })

  it('by none of everybody’s: their token is worth no more there than another', async () => {
    const reading = routes.filter(
      endpoint => endpoint.method === 'GET' && endpoint.auth !== 'admin' && /:(roomId|eventId|userId)/.test(endpoint.paths[0] ?? ''),
    ) // prettier-ignore
    expect(reading.length).toBeGreaterThan(10)
    for (const endpoint of reading) {
      const done = await ask(endpoint, undefined)
      expect([endpoint.paths[0], done.bytes.includes(canary)]).toEqual([endpoint.paths[0], false])
    }
    expect((await admin.messages(room).catch((error: unknown) => error)) as object).toMatchObject({ status: 403 })
  })

  it('unless the operator turns it on, and then it is recorded', async () => {
    const open = await startTestServer({ settings: { admin: { on_public_listener: true, content_access: true } } })
    try {
      const [dora, reader] = [await register(open, 'dora'), await registerAdmin(open, 'reader')]
      const hers = await dora.createRoom({ preset: 'private_chat' })
      await dora.send(hers, canary)
      const target = path`/_synapse/admin/v1/rooms/${hers}/messages`
      const done = await reader.request('GET', target, undefined, { query: { dir: 'b' } })
      expect(done.bytes.includes(canary)).toBe(true)
      const { rows } = await open.ctx.db.pool.query<{ endpoint: string }>('SELECT endpoint FROM admin_audit')
      expect(rows.map(row => row.endpoint)).toContain('/_synapse/admin/v1/rooms/:roomId/messages')
    } finally {
      await open.close()
    }
  })
})

async function uses(): Promise<number> {
  const { rows } = await server.ctx.db.pool.query<{ count: number }>('SELECT count(*) AS count FROM admin_audit')
  return rows[0]?.count ?? 0
}
