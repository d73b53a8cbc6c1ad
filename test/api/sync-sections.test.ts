import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, type Person, type Query, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: string
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
  bob = await register(server, 'bob')
  room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
})
afterAll(() => server.close())

const filtered = (filter: JsonObject, more: Query = {}): Query => ({ ...more, filter: JSON.stringify(filter) })
const ephemeral = (sync: JsonObject, type: string) =>
  objectsAt(sync, 'rooms', 'join', room, 'ephemeral', 'events').filter(event => event['type'] === type)
const accountData = (sync: JsonObject) => objectsAt(sync, 'account_data', 'events')

describe('receipts in /sync', () => {
  it('reach everybody, private ones their owner alone', async () => {
    const eventId = await alice.send(room, 'read me')
    const [before, since] = [await alice.now(), await bob.now()]
    await bob.acknowledge(room, eventId, 'm.read.private')
    expect(ephemeral(await alice.sync({ since: before }), 'm.receipt')).toEqual([])
    expect(at(ephemeral(await bob.sync({ since }), 'm.receipt')[0], 'content', eventId)).toEqual({
      'm.read.private': { [bob.userId]: { ts: server.clock.now() } },
    })
    await bob.acknowledge(room, eventId)
    expect(at(ephemeral(await alice.sync({ since: before }), 'm.receipt')[0], 'content', eventId)).toEqual({
      'm.read': { [bob.userId]: { ts: server.clock.now() } },
    })
    expect(JSON.stringify(await alice.sync())).not.toContain('m.read.private')
  })

  it('keep those of several threads apart', async () => {
    const root = await alice.send(room, 'root')
    const since = await alice.now()
    await bob.acknowledge(room, root, 'm.read', 'main')
    await bob.acknowledge(room, root, 'm.read', root)
    const found = ephemeral(await alice.sync({ since }), 'm.receipt')
    expect(found.map(event => at(event, 'content', root, 'm.read', bob.userId, 'thread_id')).sort()).toEqual([root, 'main'].sort()) // prettier-ignore
  })

  it('are left out if the filter says so', async () => {
    const eventId = await alice.send(room, 'read me too')
    const since = await alice.now()
    await bob.acknowledge(room, eventId)
    const sync = await alice.sync(filtered({ room: { ephemeral: { not_types: ['m.receipt'] } } }, { since }))
    expect(at(sync, 'rooms')).toBeUndefined()
  })
})

describe('typing in /sync', () => {
  it('wakes the others in the room, and ends', async () => {
    const since = await bob.now()
    const waiting = bob.sync({ since, timeout: 30_000 })
    await alice.put(path`/rooms/${room}/typing/${alice.userId}`, { typing: true, timeout: 10_000 })
    const started = await waiting
    expect(at(ephemeral(started, 'm.typing')[0], 'content', 'user_ids')).toEqual([alice.userId])
    const next = text(started, 'next_batch')
    expect(at(await bob.sync({ since: next }), 'rooms')).toBeUndefined()
    await alice.put(path`/rooms/${room}/typing/${alice.userId}`, { typing: false })
    expect(at(ephemeral(await bob.sync({ since: next }), 'm.typing')[0], 'content', 'user_ids')).toEqual([])
  })
})

describe('account data in /sync', () => {
  it('has the push rules of a user who never touched them', async () => {
    const carol = await register(server)
    const rules = accountData(await carol.sync()).find(event => event['type'] === 'm.push_rules')
    expect(at(rules, 'content', 'global', 'override', 0, 'rule_id')).toBe('.m.rule.master')
  })

  it('tells what changed, of rooms in their room', async () => {
    const since = await alice.now()
    await alice.put(path`/user/${alice.userId}/account_data/com.example.a`, { n: 1 })
    await alice.put(path`/user/${alice.userId}/account_data/com.example.a`, { n: 2 })
    await alice.put(path`/user/${alice.userId}/rooms/${room}/account_data/com.example.b`, { n: 3 })
    const sync = await alice.sync({ since })
    expect(accountData(sync)).toEqual([{ type: 'com.example.a', content: { n: 2 } }])
    expect(objectsAt(sync, 'rooms', 'join', room, 'account_data', 'events')).toEqual([
      { type: 'com.example.b', content: { n: 3 } },
    ])
    expect(accountData(await bob.sync({ since }))).toEqual([])
    expect(accountData(await alice.sync(filtered({ account_data: { not_types: ['com.*'] } }, { since })))).toEqual([])
  })
})

describe('to-device messages in /sync', () => {
  const send = (n: number) =>
    alice.put(path`/sendToDevice/com.example.note/${alice.nextTransactionId()}`, {
      messages: { [bob.userId]: { [bob.deviceId]: { n } } },
    })
  const notes = (sync: JsonObject) => objectsAt(sync, 'to_device', 'events').map(event => at(event, 'content', 'n'))

  it('come again until a later token says that they arrived', async () => {
    const since = await bob.now()
    await send(1)
    const first = await bob.sync({ since })
    expect(objectsAt(first, 'to_device', 'events')).toEqual([
      { type: 'com.example.note', sender: alice.userId, content: { n: 1 } },
    ])
    expect(notes(await bob.sync({ since }))).toEqual([1])
    await send(2)
    expect(notes(await bob.sync({ since: text(first, 'next_batch') }))).toEqual([2])
    expect(notes(await bob.sync({ since }))).toEqual([2])
  })

  it('come in order and whole when there are too many for one answer', async () => {
    let since = await bob.now()
    for (let n = 0; n < 230; n++) await send(n)
    const found: unknown[] = []
    for (let round = 0; round < 3; round++) {
      const sync = await bob.sync({ since })
      found.push(...notes(sync))
      since = text(sync, 'next_batch')
    }
    expect(found).toEqual(Array.from({ length: 230 }, (_, n) => n))
    expect(notes(await bob.sync({ since }))).toEqual([])
  })

  it('wake their device', async () => {
    const since = await bob.now()
    const waiting = bob.sync({ since, timeout: 30_000 })
    await send(7)
    expect(notes(await waiting)).toEqual([7])
  })
})

describe('encryption in /sync', () => {
  it('always counts the keys of the device', async () => {
    const sync = await bob.sync({ since: await bob.now() })
    expect(at(sync, 'device_one_time_keys_count')).toEqual({ signed_curve25519: 0 })
    expect(at(sync, 'device_unused_fallback_key_types')).toEqual([])
  })

  it('tells whose devices to look at again', async () => {
    const since = await alice.now()
    const carol = await register(server)
    await carol.join(room)
    const joined = await alice.sync({ since })
    expect(at(joined, 'device_lists', 'changed')).toContain(carol.userId)
    await carol.leave(room)
    const left = await alice.sync({ since: text(joined, 'next_batch') })
    expect(at(left, 'device_lists', 'left')).toEqual([carol.userId])
    expect(at(await alice.sync(), 'device_lists')).toBeUndefined()
  })
})

describe('unread counts in /sync', () => {
  const threads = { room: { timeline: { unread_thread_notifications: true } } }
  const counts = async (person: Person, where: string, query: Query = {}) => {
    const sync = await person.sync(query)
    return {
      main: at(sync, 'rooms', 'join', where, 'unread_notifications'),
      threads: at(sync, 'rooms', 'join', where, 'unread_thread_notifications'),
    }
  }
  const none = { notification_count: 0, highlight_count: 0 }

  it('count what notifies since the receipt, not one’s own', async () => {
    const there = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(there)
    const since = await bob.now()
    const first = await alice.send(there, 'one')
    await alice.send(there, { msgtype: 'm.text', body: 'two', 'm.mentions': { user_ids: [bob.userId] } })
    await alice.send(there, { msgtype: 'm.notice', body: 'not counted' })
    expect((await counts(bob, there, { since })).main).toEqual({ notification_count: 2, highlight_count: 1 })
    await bob.acknowledge(there, first)
    expect((await counts(bob, there, { since })).main).toEqual({ notification_count: 1, highlight_count: 1 })
    expect((await counts(bob, there)).main).toEqual({ notification_count: 1, highlight_count: 1 })
    expect((await counts(alice, there)).main).toEqual(none)
    await bob.send(there, 'I have seen it')
    expect((await counts(bob, there)).main).toEqual(none)
  })

  it('forget what was redacted', async () => {
    const there = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(there)
    const since = await bob.now()
    const eventId = await alice.send(there, 'gone soon')
    expect((await counts(bob, there, { since })).main).toEqual({ notification_count: 1, highlight_count: 0 })
    await alice.redact(there, eventId)
    expect((await counts(bob, there, { since })).main).toEqual(none)
  })

  it.each(['one who has been told before', 'one who asks for the first time'])(
    'leave out what was said while the user was away, for %s',
    async who => {
      const there = await alice.createRoom({ preset: 'public_chat' })
      await bob.join(there)
      await bob.acknowledge(there, await alice.send(there, 'read'))
      const since = await bob.now()
      if (who === 'one who has been told before') expect((await counts(bob, there)).main).toEqual(none)
      await bob.leave(there)
      await alice.send(there, 'missed')
      await bob.join(there)
      await bob.setState(there, 'm.room.member', { membership: 'join', displayname: 'Bob again' }, bob.userId)
      expect((await counts(bob, there, { since })).main).toEqual(none)
      await alice.send(there, 'welcome back')
      expect((await counts(bob, there, { since })).main).toEqual({ notification_count: 1, highlight_count: 0 })
    },
  )

  it('count threads for themselves where the filter asks for that', async () => {
    const there = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(there)
    const since = await bob.now()
    const root = await alice.send(there, 'root')
    const inThread = (body: string) =>
      alice.send(there, { msgtype: 'm.text', body, 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
    const reply = await inThread('one')
    await inThread('two')
    const apart = { main: { ...none, notification_count: 1 }, threads: { [root]: { ...none, notification_count: 2 } } }
    expect(await counts(bob, there, filtered(threads, { since }))).toEqual(apart)
    expect((await counts(bob, there, { since })).main).toEqual({ ...none, notification_count: 3 })
    await bob.acknowledge(there, reply, 'm.read', root)
    await bob.acknowledge(there, root, 'm.read.private', 'main')
    expect(await counts(bob, there, filtered(threads, { since }))).toEqual({
      main: none,
      threads: { [root]: { ...none, notification_count: 1 } },
    })
    await bob.acknowledge(there, await alice.send(there, 'the end'))
    expect(await counts(bob, there, filtered(threads, { since }))).toEqual({ main: none, threads: {} })
  })
})

describe('waiting in /sync', () => {
  it('ends when the time is up, with a token to go on from', async () => {
    const since = await bob.now()
    const waiting = bob.sync({ since, timeout: 20_000 })
    const elsewhere = await alice.createRoom()
    await alice.send(elsewhere, 'not for bob')
    await server.clock.advance(20_000)
    let answer: JsonObject | null = null
    void waiting.then(done => (answer = done))
    while (answer === null) await server.clock.advance(1_000)
    expect(Object.keys(await waiting).sort()).toEqual([
      'device_one_time_keys_count',
      'device_unused_fallback_key_types',
      'next_batch',
    ])
    expect(text(await waiting, 'next_batch')).not.toBe(since)
  })

  it('ends when the user is signed out, and tells nothing more', async () => {
    const other = await bob.login()
    const since = await other.now()
    const waiting = other.request('GET', '/sync', undefined, { query: { since, timeout: 30_000 } })
    await other.post('/logout')
    const done = await waiting
    await alice.send(room, 'after the end')
    expect(done.bytes.toString()).not.toContain('after the end')
  })

  it('does not wait in a first sync', async () => {
    expect(text(await bob.sync({ timeout: 30_000 }), 'next_batch')).toMatch(/^s/)
  })
})

describe('the parameters of /sync', () => {
  const refusal = async (query: Query) => {
    const { status, json } = await bob.request('GET', '/sync', undefined, { query })
    return [status, at(json, 'errcode')]
  }

  it('are refused when they mean nothing', async () => {
    expect(await refusal({ since: 'nonsense' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal({ filter: '4711' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal({ filter: '{' })).toEqual([400, 'M_BAD_JSON'])
    expect(await refusal({ filter: '{"room":3}' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal({ timeout: 'soon' })).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('start a client of another epoch afresh', async () => {
    const since = (await bob.now()).replace(/_[^_]*$/, '_another')
    const sync = await bob.sync({ since, timeout: 30_000 })
    expect(at(sync, 'rooms', 'join', room)).toBeDefined()
  })

  it('may name a filter that is kept', async () => {
    const { filter_id: filter = '' } = await bob.post(path`/user/${bob.userId}/filter`, { room: { rooms: [] } })
    expect(at(await bob.sync({ filter: String(filter) }), 'rooms')).toBeUndefined()
  })
})
