import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { inventory } from '../../src/privacy/inventory.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { registerAdmin } from '../admin/people.ts'
import { exchange } from '../harness/exchange.ts'
import { at, objectsAt, type Person, register } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { unzip } from '../harness/unzip.ts'
import { canaries, live } from './scene.ts'

let server: TestServer
let alice: Person
let bob: Person
let report: JsonObject

beforeAll(async () => {
  server = await startTestServer({ loops: [], settings: plainly })
  alice = await register(server, 'alice-of-the-canaries')
  bob = await register(server, 'bob')
  await live(server, alice, bob)
  report = await alice.get('/_lethe/client/v1/report')
})
afterAll(() => server.close())

/** The tables in whose shown rows a text stands. */
const reportedIn = (from: JsonObject, mark: string) =>
  objectsAt(from, 'kinds')
    .filter(kind => JSON.stringify(kind['rows']).includes(mark))
    .map(kind => String(kind['table']))
    .sort()

describe('promise 19: the report of what the server knows about you', () => {
  it('promise 19: lists every table in which a scan of the whole database finds what is yours', async () => {
    const found = await tablesThatHold(server.ctx.db, { ...canaries, id: alice.userId, deviceId: alice.deviceId })
    expect(Object.keys(found).length).toBe(Object.keys(canaries).length + 2)
    for (const [mark, tables] of Object.entries(found)) {
      const text = { ...canaries, id: alice.userId, deviceId: alice.deviceId }[mark as keyof typeof canaries] ?? ''
      const reported = reportedIn(report, text)
      const missing = tables.filter(table => !reported.includes(table))
      // What somebody else was told of a room, who has not answered an invitation yet, is in their row.
      const others = ['name', 'oldName', 'avatar', 'topic', 'id'].includes(mark) ? ['memberships'] : []
      expect([mark, missing.filter(table => !others.includes(table))]).toEqual([mark, []])
    }
  })

  it('promise 19: and what administrators ordered about you', async () => {
    const [dora, admin] = [await register(server, 'dora-of-the-canaries'), await registerAdmin(server)]
    await admin.post(`/_synapse/admin/v1/user/${encodeURIComponent(dora.userId)}/redact`, { rooms: [] })
    const found = (await tablesThatHold(server.ctx.db, { id: dora.userId }))['id'] ?? []
    expect(found).toContain('background_jobs')
    const reported = reportedIn(await dora.get('/_lethe/client/v1/report'), dora.userId)
    expect(found.filter(table => !reported.includes(table))).toEqual([])
  })

  it('promise 19: counts what the database has, table by table', async () => {
    const kinds = new Map(objectsAt(report, 'kinds').map(kind => [kind['table'], kind['count']]))
    const { rows } =
      await server.ctx.db.pool.query<{ events: number; devices: number; receipts: number; to_device: number }>( // prettier-ignore
        `SELECT (SELECT count(*) FROM events e WHERE sender_number = u.user_number OR state_key_number =
           (SELECT state_key_number FROM state_keys WHERE state_key = u.user_id)) AS events,
         (SELECT count(*) FROM devices d WHERE d.user_number = u.user_number) AS devices,
         (SELECT count(*) FROM receipts r WHERE r.user_number = u.user_number) AS receipts,
         (SELECT count(*) FROM to_device_messages m WHERE m.sender_number = u.user_number) AS to_device
       FROM users u WHERE user_id = $1`,
        [alice.userId],
      )
    const expected = rows[0]
    expect(expected?.to_device).toBe(1)
    expect([kinds.get('events'), kinds.get('devices'), kinds.get('receipts'), kinds.get('to_device_messages')]).toEqual(
      [expected?.events, expected?.devices, expected?.receipts, expected?.to_device],
    )
  })

  it('promise 19: has every table of users, with what it is for and how long it is kept', () => {
    const tables = Object.entries(inventory).flatMap(([table, { whose }]) => (whose === 'user' ? [table] : []))
    const listed = objectsAt(report, 'kinds')
    expect(tables.filter(table => !listed.some(kind => kind['table'] === table))).toEqual([])
    expect(listed.filter(kind => !/\.$/.test(String(kind['purpose'])) || kind['kept'] === '')).toEqual([])
  })

  it('promise 19: shows no hash of a password or token, and says that there is one', () => {
    const accounts = objectsAt(report, 'kinds').find(kind => kind['table'] === 'accounts')
    expect(at(accounts, 'rows', 0, 'password_hash')).toBe('kept as a hash, not shown')
    expect(JSON.stringify(report)).not.toContain('$argon2')
  })

  it('promise 19: shows nothing of what others wrote to others', async () => {
    const carol = await register(server)
    const room = await bob.createRoom({ preset: 'public_chat' })
    await carol.join(room)
    await bob.send(room, 'between bob and carol')
    expect(JSON.stringify(await alice.get('/_lethe/client/v1/report'))).not.toContain('between bob and carol')
    expect(JSON.stringify(await bob.get('/_lethe/client/v1/report'))).toContain('between bob and carol')
    expect(JSON.stringify(await carol.get('/_lethe/client/v1/report'))).not.toContain('between bob and carol')
  })

  it('says who runs the server, whether the database’s logs are controlled, and who else has copies', () => {
    expect(report['settings']).toMatchObject({ federates: false, operator: [], default_lifetime_ms: null })
    expect(typeof at(report, 'settings', 'database_logs', 'controlled')).toBe('boolean')
    expect(objectsAt(report, 'rooms').map(room => room['other_servers'])).toEqual([[], []])
  })
})

const lines = (file: Buffer | undefined): JsonObject[] =>
  (file?.toString() ?? '')
    .split('\n')
    .filter(line => line !== '')
    .flatMap(line => {
      const value: unknown = JSON.parse(line)
      return isJsonObject(value) ? [value] : []
    })

describe('the export', () => {
  it('has every row and every file that is one’s own', async () => {
    const room = await alice.createRoom()
    for (let number = 0; number < 450; number += 1) await alice.send(room, `sheep ${number}`)
    const done = await exchange(server.url, {
      method: 'GET',
      target: '/_lethe/client/v1/export',
      token: alice.accessToken,
    })
    expect([done.status, done.headers['content-type']]).toEqual([200, 'application/zip'])
    const files = unzip(done.bytes)
    const { kinds } = await alice.get('/_lethe/client/v1/report').then(fresh => ({ kinds: objectsAt(fresh, 'kinds') }))
    const counts = kinds.map(kind => [kind['table'], kind['count']])
    const exported = kinds.map(kind => [kind['table'], lines(files.get(`data/${String(kind['table'])}.ndjson`)).length])
    expect(exported).toEqual(counts)
    const bodies = lines(files.get('data/events.ndjson')).map(row => at(row, 'body', 'content', 'body'))
    const sheep = bodies.filter(body => typeof body === 'string' && body.startsWith('sheep '))
    expect(new Set(sheep).size).toBe(450)
    expect(files.get(`media/${canaries.avatar}`)?.toString()).toBe('a picture, as good as')
    expect(files.get('report.json')?.toString()).toContain(alice.userId)
  }, 60_000)

  it('is nobody else’s', async () => {
    const target = '/_lethe/client/v1/export'
    expect((await exchange(server.url, { method: 'GET', target })).status).toBe(401)
    const done = await exchange(server.url, { method: 'GET', target, token: bob.accessToken })
    const everything = [...unzip(done.bytes).values()].map(file => file.toString()).join('')
    expect(everything).toContain('tea?')
    expect(everything).not.toContain(canaries.body)
    expect(everything).not.toContain(canaries.accountData)
  })
})
