import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { sweep } from '../../src/retention/sweeper.ts'
import { eraseAll } from '../../src/privacy/eraser.ts'
import { registerAdmin } from '../admin/people.ts'
import { exchange } from '../harness/exchange.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { canaries, live, type Scene } from './scene.ts'

let server: TestServer
let alice: Person
let bob: Person

beforeAll(async () => {
  // The work in the background is done when a test says so.
  server = await startTestServer({ loops: [], settings: plainly })
  alice = await register(server, 'alice-of-the-canaries')
  bob = await register(server, 'bob')
})
afterAll(() => server.close())

async function erase(person: Person): Promise<string> {
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: person.userId }, password: person.password } // prettier-ignore
  return text(await person.post('/account/deactivate', { erase: true, auth }), 'org.lethe.receipt')
}

const fetchPage = async (method: string, target: string) => {
  const done = await exchange(server.url, { method, target })
  return { status: done.status, text: done.bytes.toString() }
}

/** The tables that a receipt says something is kept in. */
const keptIn = (receipt: string) =>
  [...receipt.slice(receipt.indexOf('What remains')).matchAll(/data-table="(\w+)"/g)].map(match => match[1] ?? '')

describe('promise 20: erasing an account', () => {
  let scene: Scene
  let receiptPath: string
  let receipt: string

  it('promise 20: has something to erase: every mark is found before', async () => {
    scene = await live(server, alice, bob)
    const found = await tablesThatHold(server.ctx.db, canaries)
    expect(Object.keys(canaries).filter(mark => !(mark in found))).toEqual([])
  })

  it('promise 20: closes the account and deletes its own things at once', async () => {
    receiptPath = await erase(alice)
    expect(receiptPath).toMatch(/^\/receipt\/lte_/)
    expect((await alice.request('GET', '/account/whoami')).status).toBe(401)
    const { device, accountData, profile, filter } = canaries
    expect(await tablesThatHold(server.ctx.db, { device, accountData, profile, filter })).toEqual({})
    const page = await fetchPage('GET', receiptPath)
    expect(page.text).toContain('is being erased')
    // It is not handed over before it is finished.
    expect((await fetchPage('POST', receiptPath)).text).toContain('is being erased')
  })

  it('promise 20: leaves nothing of what was said, shown or uploaded in any column of any table', async () => {
    expect(await eraseAll(server.ctx)).toBe(1)
    expect(await tablesThatHold(server.ctx.db, canaries)).toEqual({})
    const ids = Object.fromEntries(scene.messages.map((id, index) => [`message ${index}`, id]))
    // What the room is built on stays, pruned: others cite it.
    const last = scene.messages.at(-1) ?? ''
    const found = await tablesThatHold(server.ctx.db, ids)
    expect(Object.values(found).flat().filter(table => table !== 'events')).toEqual([]) // prettier-ignore
    expect((await bob.request('GET', path`/rooms/${scene.room}/event/${scene.messages[0] ?? ''}`)).status).toBe(404)
    const stub = await bob.request('GET', path`/rooms/${scene.room}/event/${last}`)
    expect([200, 404]).toContain(stub.status)
    if (stub.status === 200) expect(at(stub.json, 'content')).toEqual({})
  })

  it('promise 20: gives a receipt, once, that lists where the user ID remains', async () => {
    expect((await fetchPage('GET', receiptPath)).text).toContain('Your account is erased')
    const { rows } = await server.ctx.db.pool.query<{ user_number: number }>('SELECT user_number FROM users WHERE user_id = $1', [alice.userId]) // prettier-ignore
    const holding = (await tablesThatHold(server.ctx.db, { id: alice.userId }))['id'] ?? []
    const numbered = await tablesWithNumber(rows[0]?.user_number ?? 0)
    receipt = (await fetchPage('POST', receiptPath)).text
    const listed = keptIn(receipt)
    expect([...holding, ...numbered].filter(table => !listed.includes(table))).toEqual([])
    expect(listed.sort()).toEqual(['accounts', 'erasures', 'events', 'log', 'memberships', 'state_keys', 'users'])
    expect((await fetchPage('POST', receiptPath)).status).toBe(404)
    expect((await fetchPage('GET', receiptPath)).status).toBe(404)
    expect(await server.ctx.db.pool.query('SELECT FROM erasures').then(({ rowCount }) => rowCount)).toBe(0)
  })

  it('promise 20: keeps the room going for the others, with the settings that are in force', async () => {
    expect(await bob.state(scene.room, 'm.room.topic')).toEqual({ topic: 'a topic in force' })
    expect(await bob.state(scene.room, 'm.room.name')).toEqual({ name: 'Tea party' })
    expect(await bob.state(scene.room, 'm.room.member', alice.userId)).toEqual({ membership: 'leave' })
    const sent = await bob.send(scene.room, 'is anybody there?')
    expect(objectsAt(await bob.messages(scene.room), 'chunk').map(event => event['event_id'])).toContain(sent)
    const told = JSON.stringify([await bob.sync(), await bob.messages(scene.room)])
    expect(Object.entries(canaries).filter(([, mark]) => told.includes(mark))).toEqual([])
  })

  it('promise 20: lets nobody have the name again', async () => {
    const again = { username: 'alice-of-the-canaries', password: 'a password as good', auth: { type: 'm.login.dummy' } }
    const done = await bob.request('POST', '/register', again)
    expect(at(done.json, 'errcode')).toBe('M_USER_IN_USE')
  })

  it('promise 20: is not what a plain deactivation does', async () => {
    const dave = await register(server)
    const room = await dave.createRoom()
    await bob.post(path`/join/${room}`).catch(() => undefined)
    await dave.send(room, 'a word that stays')
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: dave.userId }, password: dave.password } // prettier-ignore
    expect(await dave.post('/account/deactivate', { auth })).toEqual({ id_server_unbind_result: 'success' })
    await eraseAll(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { word: 'a word that stays' })).toEqual({ word: ['events'] })
  })
})

/** The tables with a column for users that holds this number. */
async function tablesWithNumber(userNumber: number): Promise<string[]> {
  const columns = await server.ctx.db.pool.query<{ table: string; column: string }>(
    `SELECT table_name AS table, column_name AS column FROM information_schema.columns
     WHERE table_schema = 'public' AND column_name ~ '^(user|sender|creator|signer|target|reported)_number$'`,
  )
  const found = new Set<string>()
  for (const { table, column } of columns.rows) {
    const { rowCount } = await server.ctx.db.pool.query(`SELECT FROM "${table}" WHERE "${column}" = $1`, [userNumber])
    if ((rowCount ?? 0) > 0) found.add(table)
  }
  return [...found]
}

describe('promise 20: a sync that goes on', () => {
  it('promise 20: is not told from memory what has been erased', async () => {
    const erin = await register(server)
    const room = await erin.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const since = await bob.now()
    await erin.send(room, 'a whispered canary')
    expect(JSON.stringify(await bob.sync({ since }))).toContain('a whispered canary')
    await erase(erin)
    await eraseAll(server.ctx)
    const after = await bob.sync({ since })
    expect(JSON.stringify(after)).not.toContain('a whispered canary')
    expect(JSON.stringify(after)).toContain(erin.userId)
  })
})

describe('promise 20: one whom administrators had to do with', () => {
  it('promise 20: is in no report any more, and the receipt says where they remain', async () => {
    const [heidi, admin] = [await register(server), await registerAdmin(server)]
    const room = await heidi.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const said = await heidi.send(room, 'a word too much')
    await bob.post(path`/rooms/${room}/report/${said}`, { reason: 'it was rude' })
    await bob.post(path`/users/${heidi.userId}/report`, { reason: 'they are rude' })
    await admin.post(path`/_synapse/admin/v1/user/${heidi.userId}/redact`, { rooms: [] })
    const { rows } = await server.ctx.db.pool.query<{ user_number: number }>('SELECT user_number FROM users WHERE user_id = $1', [heidi.userId]) // prettier-ignore
    expect(await tablesWithNumber(rows[0]?.user_number ?? 0)).toContain('reports')
    const receiptPath = await erase(heidi)
    await eraseAll(server.ctx)
    const holding = (await tablesThatHold(server.ctx.db, { id: heidi.userId }))['id'] ?? []
    const numbered = await tablesWithNumber(rows[0]?.user_number ?? 0)
    expect(holding).toContain('background_jobs')
    expect(numbered).not.toContain('reports')
    const listed = keptIn((await fetchPage('POST', receiptPath)).text)
    expect([...holding, ...numbered].filter(table => !listed.includes(table))).toEqual([])
    // What was reported is still there for whoever has to see to it.
    const { event_reports: reports } = await admin.get('/_synapse/admin/v1/event_reports')
    expect(reports).toMatchObject([{ event_id: null, sender: null, reason: 'it was rude', room_id: room }])
  })
})

describe('promise 20: a redaction by one who is erased', () => {
  it('promise 20: goes on to hide what was said in its place', async () => {
    const [ivan, judy] = [await register(server), await register(server)]
    const room = await ivan.createRoom({ preset: 'public_chat', power_level_content_override: { users: { [judy.userId]: 100 } } }) // prettier-ignore
    await judy.join(room)
    const said = await ivan.send(room, 'a word')
    const edit = { msgtype: 'm.text', body: 'a better word' }
    await ivan.send(room, { ...edit, 'm.new_content': edit, 'm.relates_to': { rel_type: 'm.replace', event_id: said } })
    expect(JSON.stringify(await ivan.event(room, said))).toContain('a better word')
    await judy.redact(room, said)
    await ivan.send(room, 'on')
    await erase(judy)
    await eraseAll(server.ctx)
    const shown = await ivan.event(room, said)
    expect(shown['content']).toEqual({})
    expect(JSON.stringify(shown)).not.toContain('a better word')
  })
})

describe('promise 20: a receipt that nobody fetches', () => {
  it('promise 20: expires', async () => {
    const frank = await register(server)
    const receiptPath = await erase(frank)
    await eraseAll(server.ctx)
    expect((await fetchPage('GET', receiptPath)).status).toBe(200)
    await server.clock.advance(30 * 86_400_000)
    expect((await fetchPage('GET', receiptPath)).status).toBe(404)
  })
})

describe('promise 20: where texts are sealed', () => {
  let sealed: TestServer
  beforeAll(async () => {
    sealed = await startTestServer({ loops: [] })
  })
  afterAll(() => sealed.close())

  it('promise 20: destroys the account’s key, so that no copy of the database can be opened', async () => {
    const grace = await register(sealed)
    const heidi = await register(sealed)
    const room = await heidi.createRoom({ preset: 'public_chat' })
    await grace.join(room)
    await grace.put(path`/profile/${grace.userId}/displayname`, { displayname: 'Grace' })
    const report = JSON.stringify(await grace.get('/_lethe/client/v1/report'))
    expect(report).toContain('"value":"\\"Grace\\""')
    const { rows } = await sealed.ctx.db.pool.query<{ value: Buffer; user_number: number }>('SELECT value, user_number FROM profiles') // prettier-ignore
    const { value, user_number: userNumber } = rows[0] ?? {}
    const open = () => value && sealed.ctx.numbers.sealer.open(value, `profile ${userNumber ?? 0} displayname`)
    expect(open()).toBe('"Grace"')
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: grace.userId }, password: grace.password } // prettier-ignore
    await grace.post('/account/deactivate', { erase: true, auth })
    await eraseAll(sealed.ctx)
    await sweep(sealed.ctx)
    expect(open()).toBeNull()
    // Others may still invite the name, and go on with the room.
    await heidi.send(room, 'where did she go?')
    await heidi.invite(room, grace.userId)
    await heidi.send(room, 'she does not answer')
  })
})
