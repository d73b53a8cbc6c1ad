import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { nobody, path, type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let carol: Person
let room: string
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
  bob = await register(server)
  carol = await register(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  room = await alice.createRoom({ preset: 'public_chat' })
})

const forbidden = [403, 'M_FORBIDDEN']
const unknownRoom = '!unknown:lethe.test'

async function wholeState(person: Person): Promise<Map<string, JsonObject>> {
  const done = await person.request('GET', path`/rooms/${room}/state`)
  const events = Array.isArray(done.json) ? done.json.filter(isJsonObject) : []
  return new Map(events.map(event => [`${String(event['type'])} ${String(event['state_key'])}`, event]))
}

describe('state', () => {
  it('is set and read, with and without a key, as content and as an event', async () => {
    const eventId = await alice.setState(room, 'org.example', { n: 1 }, 'key')
    expect(await alice.put(path`/rooms/${room}/state/org.example`, { n: 2 })).toHaveProperty('event_id')
    expect(await alice.state(room, 'org.example', 'key')).toEqual({ n: 1 })
    expect(await alice.get(path`/rooms/${room}/state/org.example`)).toEqual({ n: 2 })
    expect(await alice.state(room, 'org.example')).toEqual({ n: 2 })
    expect(await alice.get(path`/rooms/${room}/state/org.example/key`, { format: 'event' })).toMatchObject({
      event_id: eventId,
      type: 'org.example',
      state_key: 'key',
      sender: alice.userId,
      room_id: room,
      content: { n: 1 },
    })
  })

  it('says the room ID of the create event too', async () => {
    const create = (await wholeState(alice)).get('m.room.create ')
    expect(create).toMatchObject({ room_id: room, event_id: `$${room.slice(1)}` })
  })

  it('is not changed by saying again what is so', async () => {
    const first = await alice.setState(room, 'm.room.topic', { topic: 'a', other: [1, { b: 2 }] })
    expect(await alice.setState(room, 'm.room.topic', { other: [1, { b: 2 }], topic: 'a' })).toBe(first)
    expect(await alice.setState(room, 'm.room.topic', { topic: 'b' })).not.toBe(first)
    await bob.join(room)
    await alice.setState(room, 'm.room.power_levels', { users: { [bob.userId]: 50 } })
    expect(await bob.setState(room, 'm.room.topic', { topic: 'b' })).not.toBe(
      await alice.setState(room, 'm.room.topic', { topic: 'b' }),
    )
  })

  it('takes the level of its type, which the room may set', async () => {
    await bob.join(room)
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/state/m.room.name/`, { name: 'x' })).toEqual(forbidden)
    await alice.setState(room, 'm.room.power_levels', { events: { 'm.room.name': 0 } })
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/state/m.room.name/`, { name: 'x' })).toEqual([200, null])
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/state/m.room.topic/`, { topic: 'x' })).toEqual(forbidden)
  })

  it('under the name of a user is that user’s alone', async () => {
    await bob.join(room)
    await alice.setState(room, 'm.room.power_levels', { events: { 'org.example': 0 } })
    const target = path`/rooms/${room}/state/org.example/${alice.userId}`
    expect(await answerOf(bob, 'PUT', target, {})).toEqual(forbidden)
    expect(await answerOf(alice, 'PUT', target, {})).toEqual([200, null])
  })

  it('is closed to strangers: the same is said of an unknown room', async () => {
    const closed = await alice.createRoom()
    const wholeOf = async (target: string, method = 'GET', body?: JsonObject) => {
      const done = await bob.request(method, target, body)
      return [done.status, done.json]
    }
    const refusal = [403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }]
    expect(await wholeOf(path`/rooms/${closed}/state`)).toEqual(refusal)
    for (const rest of ['/state', '/state/m.room.create/', '/state/m.nothing/']) {
      expect(await wholeOf(`${path`/rooms/${closed}`}${rest}`)).toEqual(
        await wholeOf(`${path`/rooms/${unknownRoom}`}${rest}`),
      )
    }
    expect(await wholeOf(path`/rooms/${closed}/state/m.x/`, 'PUT', {})).toEqual(refusal)
    expect(await wholeOf(path`/rooms/${unknownRoom}/state/m.x/`, 'PUT', {})).toEqual(refusal)
    expect(await answerOf(nobody(server), 'GET', path`/rooms/${closed}/state`)).toEqual([401, 'M_MISSING_TOKEN'])
  })

  it('that is not there is not found, by those who may look', async () => {
    expect(await answerOf(alice, 'GET', path`/rooms/${room}/state/m.room.topic/`)).toEqual([404, 'M_NOT_FOUND'])
  })

  it('is open to everybody in a world-readable room', async () => {
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'world_readable' })
    expect(await carol.state(room, 'm.room.history_visibility')).toEqual({ history_visibility: 'world_readable' })
  })

  it('stays as it was for those who left', async () => {
    await bob.join(room)
    await alice.setState(room, 'm.room.name', { name: 'before' })
    await bob.leave(room)
    await alice.setState(room, 'm.room.name', { name: 'after' })
    await alice.setState(room, 'm.room.topic', { topic: 'after' })
    await carol.join(room)
    expect(await bob.state(room, 'm.room.name')).toEqual({ name: 'before' })
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state/m.room.topic/`)).toEqual([404, 'M_NOT_FOUND'])
    const seen = await wholeState(bob)
    expect(seen.get('m.room.name ')).toMatchObject({ content: { name: 'before' } })
    expect(seen.get(`m.room.member ${bob.userId}`)).toMatchObject({ content: { membership: 'leave' } })
    expect(seen.has(`m.room.member ${carol.userId}`)).toBe(false)
    expect(seen.has('m.room.topic ')).toBe(false)
    await alice.ban(room, bob.userId)
    expect(await bob.state(room, 'm.room.name')).toEqual({ name: 'before' })
  })

  it('is not shown to those who were only invited', async () => {
    const closed = await alice.createRoom({ invite: [bob.userId] })
    expect(await answerOf(bob, 'GET', path`/rooms/${closed}/state`)).toEqual(forbidden)
    await bob.leave(closed)
    expect(await answerOf(bob, 'GET', path`/rooms/${closed}/state`)).toEqual(forbidden)
  })
})

describe('state that cannot be meant', () => {
  const put = (type: string, content: JsonObject) =>
    answerOf(alice, 'PUT', path`/rooms/${room}/state/${type}/`, content)

  it('is refused', async () => {
    expect(await put('m.room.create', { room_version: '12', more: 1 })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put('m.room.power_levels', { users: { [alice.userId]: 100 } })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put('m.room.power_levels', { users: { [bob.userId]: '100' } })).toEqual([400, 'M_BAD_JSON'])
    expect(await put('m.room.power_levels', { events: [] })).toEqual([400, 'M_BAD_JSON'])
    expect(await put('m.room.power_levels', { users: { [bob.userId]: 2 ** 53 } })).toEqual([400, 'M_BAD_JSON'])
    expect(await put('m.room.server_acl', { allow: ['elsewhere.test'] })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put('m.room.server_acl', { allow: ['*'], deny: ['elsewhere.test'] })).toEqual([200, null])
    expect(await put('org.example', { body: 'x'.repeat(70_000) })).toEqual([413, 'M_TOO_LARGE'])
  })

  it('in version 11 includes no creator, who has an ordinary level there', async () => {
    room = await alice.createRoom({ room_version: '11' })
    const set = (content: JsonObject) =>
      answerOf(alice, 'PUT', path`/rooms/${room}/state/m.room.power_levels/`, content)
    expect(await set({ users: { [alice.userId]: 100 } })).toEqual([200, null])
    expect(await set({})).toEqual([200, null])
    expect(await set({ users: {} })).toEqual(forbidden)
  })
})
