import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { routes } from '../../src/api/routes.ts'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type RoomId } from '../../src/protocol/identifiers.ts'
import { clearRetentionOverride, setRetentionOverride } from '../../src/retention/overrides.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { registerAdmin } from '../admin/people.ts'
import { type Exchange } from '../harness/exchange.ts'
import { at, objectsAt, path, type Person, register } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { unzip } from '../harness/unzip.ts'
import { fillPath } from '../house/samples.ts'
import { day, hour, type Populated, populatedRoom } from './rooms.ts'

let server: TestServer
let alice: Person
let bob: Person
/** Of a server whose operator lets administrators read content. */
let admin: Person
beforeAll(async () => {
  // No loops: nothing is swept unless a test says so.
  server = await startTestServer({ loops: [], settings: { ...plainly, admin: { content_access: true } } })
  alice = await register(server)
  bob = await register(server)
  admin = await registerAdmin(server)
})
afterAll(() => server.close())

/** Routes that read events and are no GET; a new one that looks like it reads must be told of here how. */
const postsThatRead: Readonly<Record<string, (word: string) => JsonObject>> = {
  'POST /_matrix/client/v3/search': word => ({ search_categories: { room_events: { search_term: word } } }),
}

const looksLikeReading =
  /search|messages|context|events?$|relations|threads|notifications|\/sync$|timestamp|initialSync/

/** Whether an endpoint reads for those who are signed in: as a user, or else as an administrator. */
function reads({ auth, method, paths: [target = ''] }: Endpoint, asAdmin: boolean): boolean {
  if (asAdmin !== (auth === 'admin')) return false
  if (!asAdmin && !/^\/_(matrix|lethe)\/client\//.test(target)) return false
  return method === 'GET' || (method === 'POST' && !asAdmin && looksLikeReading.test(target))
}

/** What was answered, as text; the files of a ZIP are looked into. */
function textOf({ bytes, headers }: Exchange): string {
  if (headers['content-type'] !== 'application/zip') return bytes.toString('utf8')
  return [...unzip(bytes).values()].map(file => file.toString('utf8')).join('\n')
}

/** The queries with which an endpoint is asked: all that it has for walking history, from its ends and from before. */
function queriesOf(endpoint: Endpoint, since: string): string[] {
  const names = new Set(Object.keys(endpoint.query))
  const common = new URLSearchParams()
  if (names.has('limit')) common.set('limit', '100')
  if (names.has('timeout')) common.set('timeout', '0')
  if (names.has('ts')) common.set('ts', '0')
  const variants: Record<string, string>[] = [{}]
  if (names.has('dir')) variants.splice(0, 1, { dir: 'b' }, { dir: 'f' })
  if (names.has('since')) variants.push({ since }, { full_state: 'true' }, { since, full_state: 'true' })
  if (names.has('pos')) variants.push({})
  return variants.map(variant => new URLSearchParams({ ...Object.fromEntries(common), ...variant }).toString())
}

/** What every route that may tell of events answers, as text; the parameters are tried with every message. */
async function everythingReadable(person: Person, { room, since, messages }: Populated): Promise<Map<string, string>> {
  const answers = new Map<string, string>()
  for (const endpoint of routes.filter(endpoint => reads(endpoint, person === admin))) {
    const [target = ''] = endpoint.paths
    const name = `${endpoint.method} ${target}`
    const values = { userId: person.userId, deviceId: person.deviceId, roomId: room, roomIdOrAlias: room, roomAlias: '#none:lethe.test', serverName: 'lethe.test', mediaId: 'none', callId: 'none' } // prettier-ignore
    const told: string[] = []
    for (const eventId of target.includes(':eventId') ? messages : ['']) {
      const filled = fillPath(target, { ...values, eventId })
      if (endpoint.method === 'POST') {
        const body = postsThatRead[name]
        if (!body) throw new Error(`${name} looks as if it read events: say in this test how`)
        const done = await person.request('POST', filled, body('melon'))
        told.push(textOf(done))
        continue
      }
      for (const query of queriesOf(endpoint, since)) {
        const done = await person.request('GET', query === '' ? filled : `${filled}?${query}`)
        if (done.status >= 500) throw new Error(`${name} answered ${done.status}`)
        told.push(textOf(done))
      }
    }
    answers.set(name, told.join('\n'))
  }
  return answers
}

const routesThatTell = (answers: ReadonlyMap<string, string>, word: string) =>
  [...answers].filter(([, text]) => text.includes(word)).map(([name]) => name)

describe('promise 1: at the end of its lifetime a message is gone from every read path', () => {
  it('promise 1: by the room’s policy, the sweeper standing still', async () => {
    const populated = await populatedRoom(alice, bob, 'melon', hour)
    await server.clock.advance(hour)
    const before = routesThatTell(await everythingReadable(bob, populated), 'melon')
    // Without these the scan would be blind.
    const known = ['messages', 'context/:eventId', 'event/:eventId', 'relations/:eventId', 'threads', 'sync', 'report', 'export'] // prettier-ignore
    for (const tail of known) expect([tail, before.some(name => name.endsWith(tail))]).toEqual([tail, true])
    await server.clock.advance(1)
    expect(routesThatTell(await everythingReadable(bob, populated), 'melon')).toEqual([])
    expect(await tablesThatHold(server.ctx.db, { melon: 'melon' })).not.toEqual({})
  })

  it('promise 1: for its sender too, and for administrators who may read content', async () => {
    const populated = await populatedRoom(alice, bob, 'papaya', hour)
    await bob.post(path`/rooms/${populated.room}/report/${populated.root}`, { reason: 'rude' })
    await server.clock.advance(hour)
    const tellAlice = routesThatTell(await everythingReadable(alice, populated), 'papaya')
    expect(tellAlice).toEqual(expect.arrayContaining(['GET /_lethe/client/v1/report', 'GET /_lethe/client/v1/export']))
    const tellAdmin = routesThatTell(await everythingReadable(admin, populated), 'papaya')
    const known = ['messages', 'context/:eventId', 'fetch_event/:eventId', 'event_reports/:reportId']
    for (const tail of known) expect([tail, tellAdmin.some(name => name.endsWith(tail))]).toEqual([tail, true])
    await server.clock.advance(1)
    expect(routesThatTell(await everythingReadable(alice, populated), 'papaya')).toEqual([])
    expect(routesThatTell(await everythingReadable(admin, populated), 'papaya')).toEqual([])
  })

  it('promise 1: by a timer of its own, be it encrypted or not, the sweeper standing still', async () => {
    for (const key of ['m.self_destruct_after', 'org.matrix.self_destruct_after']) {
      const until = server.clock.now() + hour
      const populated = await populatedRoom(alice, bob, 'melon', null, { [key]: until })
      await server.clock.advance(until - server.clock.now())
      expect(routesThatTell(await everythingReadable(bob, populated), 'melon').length).toBeGreaterThan(5)
      await server.clock.advance(1)
      expect(routesThatTell(await everythingReadable(bob, populated), 'melon')).toEqual([])
    }
  })

  it('promise 1: a timer that means nothing, or is longer than the policy, changes nothing', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const status = async (event: string) => (await alice.request('GET', path`/rooms/${room}/event/${event}`)).status
    for (const value of ['soon', -1, 0, null, {}, server.clock.now() + day]) {
      const event = await alice.send(room, { body: 'grape', 'm.self_destruct_after': value })
      expect([value, await status(event)]).toEqual([value, 200])
      await server.clock.advance(hour)
      expect([value, await status(event)]).toEqual([value, 200])
      await server.clock.advance(1)
      expect([value, await status(event)]).toEqual([value, 404])
    }
    // State does not go.
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'grape', 'm.self_destruct_after': 1 })
    expect(await status(topic)).toBe(200)
  })
})

describe('promise 2: within a sweep no row contains or points to it', () => {
  it('promise 2: messages that their policy or their own timer ended, and unread badges with them', async () => {
    const byPolicy = await populatedRoom(alice, bob, 'cherry', hour)
    const byTimer = await populatedRoom(alice, bob, 'damson', null, {
      'm.self_destruct_after': server.clock.now() + hour,
    })
    const unread = async (room: string, query: JsonObject = {}) =>
      at(
        await bob.sync(query as Record<string, string>),
        'rooms',
        'join',
        room,
        'unread_notifications',
        'notification_count',
      )
    const since = await bob.now()
    expect(await unread(byPolicy.room)).toBeGreaterThan(0)
    // Of what is reported administrators still learn by whom and why.
    for (const { room, root } of [byPolicy, byTimer]) {
      await bob.post(path`/rooms/${room}/report/${root}`, { reason: 'it was rude' })
    }
    expect(await tablesThatHold(server.ctx.db, { root: byPolicy.root })).toMatchObject({ root: expect.arrayContaining(['reports']) }) // prettier-ignore
    await server.clock.advance(hour + 1)
    const fresh = [await alice.send(byPolicy.room, 'fresh'), await alice.send(byTimer.room, 'fresh')]
    const count = byPolicy.messages.length + byTimer.messages.length
    expect((await sweep(server.ctx))?.byKind.messages).toBeGreaterThanOrEqual(count)
    const ids = [...byPolicy.messages, ...byTimer.messages].map((id, index) => [`event ${index}`, id] as const)
    const texts = { cherry: 'cherry', damson: 'damson', ...Object.fromEntries(ids) }
    expect(await tablesThatHold(server.ctx.db, texts)).toEqual({})
    const { event_reports: reports } = await admin.get('/_synapse/admin/v1/event_reports', { limit: 2 })
    expect(reports).toMatchObject([byTimer, byPolicy].map(({ room }) => ({ room_id: room, event_id: null, sender: alice.userId, reason: 'it was rude' }))) // prettier-ignore
    for (const [index, { room }] of [byPolicy, byTimer].entries()) {
      // What is left is the one message that came since.
      expect([await unread(room), await unread(room, { since })]).toEqual([1, 1])
      const history = objectsAt(await bob.messages(room), 'chunk')
      expect(history[0]).toMatchObject({ event_id: fresh[index] })
      expect(history.at(-1)).toMatchObject({ type: 'm.room.create' })
    }
  })
})

describe('promise 3: also the last message of a quiet room', () => {
  it.each(['policy', 'timer'])('promise 3: one room, one message, ended by its %s', async by => {
    const room = await alice.createRoom()
    if (by === 'policy') await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const timer: JsonObject = by === 'timer' ? { 'm.self_destruct_after': server.clock.now() + hour } : {}
    const event = await alice.send(room, { msgtype: 'm.text', body: 'the only quince', ...timer })
    await server.clock.advance(hour)
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { quince: 'only quince' })).toEqual({ quince: ['events'] })
    await server.clock.advance(1)
    expect((await sweep(server.ctx))?.byKind.messages).toBeGreaterThanOrEqual(1)
    expect(await tablesThatHold(server.ctx.db, { quince: 'only quince' })).toEqual({})
    // Its pruned form is what the next event is built on, and is shown to nobody.
    expect((await alice.request('GET', path`/rooms/${room}/event/${event}`)).status).toBe(404)
    expect(JSON.stringify(await alice.messages(room))).not.toContain(event)
    expect((await sweep(server.ctx))?.byKind.messages).toBe(0)
    const next = await alice.send(room, 'next')
    expect(objectsAt(await alice.messages(room), 'chunk')[0]).toMatchObject({ event_id: next })
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { event })).toEqual({})
  })
})

describe('promise 4: old names, topics, avatars and display names go too', () => {
  it('promise 4: once something else has taken their place, from what is shown at once and from the rows with the next sweep', async () => {
    // Without other rooms, which would go on saying how he was called.
    const bob = await register(server)
    const room = await alice.createRoom({ preset: 'public_chat', name: 'old fig name', topic: 'old fig topic' })
    await bob.join(room)
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    await bob.put(path`/profile/${bob.userId}/displayname`, { displayname: 'old fig display' })
    const since = await bob.now()
    await alice.setState(room, 'm.room.avatar', { url: 'mxc://lethe.test/oldfigavatar' })
    await server.clock.advance(30_000)
    await alice.setState(room, 'm.room.name', { name: 'new fig name' })
    await alice.setState(room, 'm.room.topic', { topic: 'new fig topic' })
    await alice.setState(room, 'm.room.avatar', { url: 'mxc://lethe.test/newfigavatar' })
    await bob.put(path`/profile/${bob.userId}/displayname`, { displayname: 'new fig display' })
    const populated = { room, since, root: '', messages: [await alice.send(room, 'here')] }
    const old = async () => {
      const answers = [...(await everythingReadable(bob, populated)).values(), ...(await everythingReadable(alice, populated)).values()] // prettier-ignore
      return [...new Set(answers.join('').match(/old ?fig ?\w+/g))].sort()
    }
    await server.clock.advance(hour - 30_000)
    expect(await old()).toEqual(['old fig display', 'old fig name', 'old fig topic', 'oldfigavatar'])
    await server.clock.advance(1)
    expect(await old()).toEqual([])

    expect((await sweep(server.ctx))?.byKind.states).toBeGreaterThanOrEqual(4)
    const marks = { name: 'old fig name', topic: 'old fig topic', display: 'old fig display', avatar: 'oldfigavatar' }
    expect(await tablesThatHold(server.ctx.db, marks)).toEqual({})
    // What is current stays, however old it grows, and so does the history of who was in the room when.
    await server.clock.advance(10 * hour)
    await sweep(server.ctx)
    expect(await alice.state(room, 'm.room.name')).toEqual({ name: 'new fig name' })
    expect(await alice.state(room, 'm.room.member', bob.userId)).toMatchObject({ displayname: 'new fig display' })
    expect(objectsAt(await bob.messages(room), 'chunk').at(-1)).toMatchObject({ type: 'm.room.create' })
    const carol = await register(server)
    await carol.join(room)
    await carol.send(room, 'hello')
    await alice.kick(room, carol.userId)
    expect(await sweep(server.ctx)).not.toBeNull()
  })

  it('promise 4: also for those who have not answered an invitation', async () => {
    const [bob, carol] = [await register(server), await register(server)]
    await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'first olive' })
    const room = await alice.createRoom({ name: 'first olive', topic: 'first olive', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] }) // prettier-ignore
    await alice.invite(room, bob.userId)
    await carol.post(path`/knock/${room}`)
    const told = async (person: Person, kind: string) => JSON.stringify(at(await person.sync(), 'rooms', kind, room))
    expect(await told(bob, 'invite')).toContain('first olive')
    expect(await told(carol, 'knock')).toContain('first olive')
    await alice.setState(room, 'm.room.name', { name: 'second olive' })
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'rude olive' })
    await alice.redact(room, topic)
    await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'second olive' })
    for (const [person, kind] of [[bob, 'invite'], [carol, 'knock']] as const) {
      const now = await told(person, kind)
      expect([now.includes('first olive'), now.includes('rude olive'), now.includes('second olive')]).toEqual([false, false, true]) // prettier-ignore
    } // prettier-ignore
  })

  it('promise 4: not in a room where messages have no end', async () => {
    const room = await alice.createRoom({ topic: 'kept fig' })
    await alice.setState(room, 'm.room.topic', { topic: 'newer' })
    await server.clock.advance(100 * day)
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { kept: 'kept fig' })).toEqual({ kept: ['events'] })
  })
})

describe('promise 9: a policy takes effect within a sweep, retroactively, and clients are told the one in force', () => {
  it('promise 9: shortening ends what is older, lengthening brings nothing back', async () => {
    const room = await alice.createRoom()
    const event = await alice.send(room, 'plum')
    await alice.send(room, 'later')
    await server.clock.advance(2 * hour)
    const status = async () => (await alice.request('GET', path`/rooms/${room}/event/${event}`)).status
    expect(await status()).toBe(200)
    await setRetentionOverride(server.ctx, room as RoomId, { maxLifetime: hour, minLifetime: null })
    expect(await status()).toBe(404)
    expect(JSON.stringify(await alice.sync())).not.toContain('plum')
    await sweep(server.ctx)
    expect(await clearRetentionOverride(server.ctx, room as RoomId)).toBe(true)
    expect(await status()).toBe(404)
  })

  it('promise 9: lengthening brings nothing back to a sync that goes on, either', async () => {
    const room = await alice.createRoom()
    const since = await alice.now()
    await alice.send(room, 'damson plum')
    await alice.send(room, 'later')
    expect(JSON.stringify(await alice.sync({ since }))).toContain('damson plum')
    await server.clock.advance(2 * hour)
    await setRetentionOverride(server.ctx, room as RoomId, { maxLifetime: hour, minLifetime: null })
    await sweep(server.ctx)
    await clearRetentionOverride(server.ctx, room as RoomId)
    const fresh = await alice.send(room, 'fresh')
    const told = JSON.stringify(await alice.sync({ since }))
    expect([told.includes('damson plum'), told.includes(fresh)]).toEqual([false, true])
  })

  it('promise 9: refuses policies that nobody can mean, when they are set and when a room is made', async () => {
    const again = await server.restart({ retention: { limits: { max_lifetime: { min: '1h', max: '30d' } } } })
    server = again
    alice = await register(again)
    bob = await register(again)
    const room = await alice.createRoom()
    const wrong: JsonObject[] = [
      { max_lifetime: 0 }, { max_lifetime: -1 }, { max_lifetime: 1.5 }, { max_lifetime: 'a day' }, { max_lifetime: true },
      { max_lifetime: [hour] }, { max_lifetime: hour - 1 }, { max_lifetime: hour, min_lifetime: 2 * hour },
      { max_lifetime: hour, min_lifetime: 0 }, { min_lifetime: 'an hour' },
    ] // prettier-ignore
    for (const type of ['m.room.retention', 'org.matrix.msc1763.retention']) {
      for (const content of wrong) {
        const set = await alice.request('PUT', path`/rooms/${room}/state/${type}/`, content)
        const made = await alice.request('POST', '/createRoom', { initial_state: [{ type, state_key: '', content }] })
        for (const done of [set, made]) expect([content, done.status, at(done.json ?? null, 'errcode')]).toEqual([content, 400, 'M_BAD_JSON']) // prettier-ignore
      }
      for (const content of [
        {},
        { max_lifetime: null },
        { max_lifetime: hour },
        { max_lifetime: day, min_lifetime: 1 },
      ]) {
        await alice.setState(room, type, content)
        await alice.createRoom({ initial_state: [{ type, state_key: '', content }] })
      }
    }
  })

  it('promise 9: what clients are told is what is enforced, whatever room, limits and default say', async () => {
    const hours = (max: number) => fc.option(fc.integer({ min: 1, max }))
    const examples = fc.sample(
      fc.record({
        room: hours(40),
        other: hours(40),
        override: hours(40),
        default: hours(30),
        min: hours(10),
        max: hours(30),
      }),
      { numRuns: Number(process.env['LETHE_TEST_RUNS'] ?? 8), seed: 1763 },
    )
    for (const example of examples) {
      const ms = (count: number | null) => (count === null ? null : count * hour)
      const [min, max] = [example.min, example.max === null ? null : Math.max(example.max, example.min ?? 1)]
      // Policies are set while no limits stand against them.
      server = await server.restart({
        retention: { default: { max_lifetime: null }, limits: { max_lifetime: { min: null, max: null } } },
      })
      const person = await register(server)
      const room = await person.createRoom()
      if (example.room !== null) await person.setState(room, 'm.room.retention', { max_lifetime: example.room * hour })
      if (example.other !== null)
        await person.setState(room, 'org.matrix.msc1763.retention', { max_lifetime: example.other * hour })
      if (example.override !== null)
        await setRetentionOverride(server.ctx, room as RoomId, {
          maxLifetime: example.override * hour,
          minLifetime: null,
        })
      const event = await person.send(room, 'watched')
      await person.send(room, 'last')
      server = await server.restart({
        retention: {
          default: { max_lifetime: ms(example.default) },
          limits: { max_lifetime: { min: ms(min), max: ms(max) } },
        },
      })
      const member = new (person.constructor as typeof Person)(
        server.url,
        { access_token: person.accessToken, user_id: person.userId, device_id: person.deviceId },
        '',
      )
      const told = await member.get('/_matrix/client/v3/retention/configuration')
      const state = async (type: string) =>
        at((await member.request('GET', path`/rooms/${room}/state/${type}/`)).json ?? null, 'max_lifetime')
      // As MSC1763 has clients do it: the policy of the room by name, else its own within the limits, else the default.
      const own = (await state('m.room.retention')) ?? (await state('org.matrix.msc1763.retention'))
      const limits = at(told, 'limits', 'max_lifetime')
      const low = Number(at(limits, 'min') ?? 0)
      const high = Number(at(limits, 'max') ?? Infinity)
      const named = at(told, 'policies', room, 'max_lifetime')
      const expected =
        named ??
        (typeof own === 'number' ? Math.min(Math.max(own, low), high) : at(told, 'policies', '*', 'max_lifetime'))
      const status = async () => (await member.request('GET', path`/rooms/${room}/event/${event}`)).status
      const rows = async () =>
        (await server.ctx.db.pool.query('SELECT FROM events WHERE event_id = $1', [event])).rowCount
      if (typeof expected !== 'number' || expected > 100 * day) {
        await server.clock.advance(100 * day)
        await sweep(server.ctx)
        expect([example, await status(), await rows()]).toEqual([example, 200, 1])
        continue
      }
      await server.clock.advance(expected)
      await sweep(server.ctx)
      expect([example, await status(), await rows()]).toEqual([example, 200, 1])
      await server.clock.advance(1)
      expect([example, await status()]).toEqual([example, 404])
      await sweep(server.ctx)
      expect([example, await rows()]).toEqual([example, 0])
    }
  }, 120_000)
})
