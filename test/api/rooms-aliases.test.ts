import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, nobody, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: string
let count = 0
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  room = await alice.createRoom({ preset: 'public_chat' })
})

const forbidden = [403, 'M_FORBIDDEN']
const nextAlias = () => `#alias${++count}:lethe.test`
const setAlias = (person: Person, alias: string, to: string) =>
  answerOf(person, 'PUT', path`/directory/room/${alias}`, { room_id: to })
const removeAlias = (person: Person, alias: string) => answerOf(person, 'DELETE', path`/directory/room/${alias}`)

describe('an alias', () => {
  it('stands for a room, for everybody, in any script', async () => {
    for (const alias of [nextAlias(), '#老虎Â£я🤨👉ඞ:lethe.test']) {
      expect(await setAlias(alice, alias, room)).toEqual([200, null])
      expect(await nobody(server).get(path`/directory/room/${alias}`)).toEqual({
        room_id: room,
        servers: ['lethe.test'],
      })
    }
    expect(at(await alice.get(path`/rooms/${room}/aliases`), 'aliases')).toHaveLength(2)
  })

  it('can be made by members only, once, and on this server', async () => {
    const alias = nextAlias()
    expect(await setAlias(bob, alias, room)).toEqual(forbidden)
    expect(await setAlias(bob, alias, '!unknown:lethe.test')).toEqual(forbidden)
    expect(await setAlias(alice, alias, room)).toEqual([200, null])
    expect(await setAlias(alice, alias, room)).toEqual([409, 'M_UNKNOWN'])
    expect(await setAlias(alice, '#x:elsewhere.test', room)).toEqual([400, 'M_INVALID_PARAM'])
    expect(await setAlias(alice, '#a b:lethe.test', room)).toEqual([400, 'M_INVALID_PARAM'])
    expect(await setAlias(alice, 'nonsense', room)).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('that is not there is not found, here or elsewhere', async () => {
    const missing = [404, 'M_NOT_FOUND']
    expect(await answerOf(alice, 'GET', path`/directory/room/${'#no:lethe.test'}`)).toEqual(missing)
    expect(await answerOf(alice, 'GET', path`/directory/room/${'#no:elsewhere.test'}`)).toEqual(missing)
    expect(await removeAlias(alice, '#no:lethe.test')).toEqual(missing)
    expect(await removeAlias(alice, '#no:elsewhere.test')).toEqual(missing)
  })

  it('may be removed by its maker and by whoever sets the canonical one', async () => {
    await bob.join(room)
    const [bobs, alices, another] = [nextAlias(), nextAlias(), nextAlias()]
    await setAlias(bob, bobs, room)
    await setAlias(alice, alices, room)
    await setAlias(alice, another, room)
    expect(await removeAlias(bob, alices)).toEqual(forbidden)
    expect(await removeAlias(bob, bobs)).toEqual([200, null])
    await alice.setState(room, 'm.room.power_levels', { users: { [bob.userId]: 50 } })
    expect(await removeAlias(bob, alices)).toEqual([200, null])
    expect(await answerOf(alice, 'GET', path`/directory/room/${alices}`)).toEqual([404, 'M_NOT_FOUND'])
    expect(await alice.get(path`/rooms/${room}/aliases`)).toEqual({ aliases: [another] })
  })

  it('is listed to members, and to everybody where all may read', async () => {
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/aliases`)).toEqual(forbidden)
    expect(await answerOf(bob, 'GET', path`/rooms/${'!unknown:lethe.test'}/aliases`)).toEqual(forbidden)
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'world_readable' })
    expect(await bob.get(path`/rooms/${room}/aliases`)).toEqual({ aliases: [] })
  })
})

describe('the canonical alias', () => {
  const set = (content: JsonObject) =>
    answerOf(alice, 'PUT', path`/rooms/${room}/state/m.room.canonical_alias/`, content)

  it('must stand for the room', async () => {
    const [mine, other] = [nextAlias(), nextAlias()]
    await setAlias(alice, mine, room)
    await setAlias(alice, other, await alice.createRoom())
    expect(await set({ alias: mine, alt_aliases: [mine] })).toEqual([200, null])
    const bad = [400, 'M_BAD_ALIAS']
    expect(await set({ alias: other })).toEqual(bad)
    expect(await set({ alias: mine, alt_aliases: [other] })).toEqual(bad)
    expect(await set({ alias: '#no:lethe.test' })).toEqual(bad)
    expect(await set({ alias: '#no:elsewhere.test' })).toEqual(bad)
    const invalid = [400, 'M_INVALID_PARAM']
    expect(await set({ alias: '%no:lethe.test' })).toEqual(invalid)
    expect(await set({ alias: mine, alt_aliases: ['%no:lethe.test'] })).toEqual(invalid)
    expect(await set({ alias: mine, alt_aliases: mine })).toEqual(invalid)
    expect(await set({})).toEqual([200, null])
  })

  it('may keep what it had before, though that stands for nothing any more', async () => {
    await bob.join(room)
    const gone = nextAlias()
    await setAlias(bob, gone, room)
    await set({ alias: gone })
    // Its maker may remove it, and may not change the state.
    expect(await removeAlias(bob, gone)).toEqual([200, null])
    expect(await alice.state(room, 'm.room.canonical_alias')).toEqual({ alias: gone })
    expect(await set({ alias: gone, note: 'kept' })).toEqual([200, null])
  })

  it('goes with the alias when whoever removes it may change it', async () => {
    const [main, second] = [nextAlias(), nextAlias()]
    await setAlias(alice, main, room)
    await setAlias(alice, second, room)
    await set({ alias: main, alt_aliases: [second] })
    await removeAlias(alice, second)
    expect(await alice.state(room, 'm.room.canonical_alias')).toEqual({ alias: main })
    await removeAlias(alice, main)
    expect(await alice.state(room, 'm.room.canonical_alias')).toEqual({})
  })
})

describe('the directory', () => {
  const visibility = (person: Person, of: string) => person.get(path`/directory/list/room/${of}`)
  const publish = (person: Person, of: string, body: JsonObject) =>
    answerOf(person, 'PUT', path`/directory/list/room/${of}`, body)

  it('has the rooms that their members put there', async () => {
    expect(await visibility(alice, room)).toEqual({ visibility: 'private' })
    expect(await publish(alice, room, {})).toEqual([200, null])
    expect(await visibility(alice, room)).toEqual({ visibility: 'public' })
    expect(await nobody(server).get(path`/directory/list/room/${room}`)).toEqual({ visibility: 'public' })
    expect(await publish(alice, room, { visibility: 'private' })).toEqual([200, null])
    expect(await visibility(alice, room)).toEqual({ visibility: 'private' })
  })

  it('does not tell strangers which rooms there are', async () => {
    const missing = [404, 'M_NOT_FOUND']
    expect(await answerOf(bob, 'GET', path`/directory/list/room/${room}`)).toEqual(missing)
    expect(await answerOf(bob, 'GET', path`/directory/list/room/${'!unknown:lethe.test'}`)).toEqual(missing)
    expect(await publish(bob, room, {})).toEqual(forbidden)
    expect(await publish(bob, '!unknown:lethe.test', {})).toEqual(forbidden)
    await bob.join(room)
    expect(await publish(bob, room, {})).toEqual(forbidden)
    expect(await publish(alice, room, { visibility: 'secret' })).toEqual([400, 'M_INVALID_PARAM'])
  })
})

describe('the list of public rooms', () => {
  let other: TestServer
  let dora: Person
  let emil: Person
  const ids = (answer: JsonObject) => objectsAt(answer, 'chunk').map(entry => entry['room_id'])
  beforeAll(async () => {
    other = await startTestServer()
    dora = await register(other)
    emil = await register(other)
  })
  afterAll(() => other.close())

  it('says what a room is like, and leaves out what it has not', async () => {
    const listed = await dora.createRoom({
      visibility: 'public',
      room_alias_name: 'wombles',
      name: 'un nom français',
      topic: 'Test Topic Wombles',
      creation_content: { type: 'm.space' },
      initial_state: [
        { type: 'm.room.avatar', content: { url: 'mxc://lethe.test/picture' } },
        { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } },
        { type: 'm.room.guest_access', content: { guest_access: 'can_join' } },
      ],
    })
    await emil.join(listed)
    const plain = await dora.createRoom({ visibility: 'public' })
    expect(await dora.get('/publicRooms')).toEqual({
      chunk: [
        {
          room_id: listed,
          num_joined_members: 2,
          world_readable: true,
          guest_can_join: true,
          join_rule: 'public',
          room_type: 'm.space',
          name: 'un nom français',
          topic: 'Test Topic Wombles',
          canonical_alias: '#wombles:lethe.test',
          avatar_url: 'mxc://lethe.test/picture',
        },
        { room_id: plain, num_joined_members: 1, world_readable: false, guest_can_join: false, join_rule: 'public' },
      ],
      total_room_count_estimate: 2,
    })
    const search = (filter: JsonObject) => dora.post('/publicRooms', { filter })
    expect(ids(await search({ generic_search_term: 'WOMBLES' }))).toEqual([listed])
    expect(ids(await search({ generic_search_term: 'FRANÇAIS' }))).toEqual([listed])
    expect(ids(await search({ generic_search_term: 'nowhere' }))).toEqual([])
    expect(ids(await search({ room_types: [null] }))).toEqual([plain])
    expect(ids(await search({ room_types: ['m.space'] }))).toEqual([listed])
    expect(ids(await search({ room_types: null }))).toHaveLength(2)
    await dora.put(path`/directory/list/room/${listed}`, { visibility: 'private' })
    await dora.put(path`/directory/list/room/${plain}`, { visibility: 'private' })
  })

  it('leaves out rooms that nobody is in and rooms that a stranger could neither enter nor read', async () => {
    const empty = await dora.createRoom({ visibility: 'public' })
    await dora.leave(empty)
    const closed = await dora.createRoom({ visibility: 'public' })
    await dora.setState(closed, 'm.room.join_rules', { join_rule: 'invite' })
    expect(ids(await dora.get('/publicRooms'))).toEqual([])
    await dora.setState(closed, 'm.room.join_rules', { join_rule: 'knock' })
    expect(ids(await dora.get('/publicRooms'))).toEqual([closed])
    await dora.put(path`/directory/list/room/${closed}`, { visibility: 'private' })
  })

  it('is read in pages, on and back', async () => {
    const rooms: string[] = []
    for (let index = 0; index < 5; index++) rooms.push(await dora.createRoom({ visibility: 'public' }))
    const whole = ids(await dora.get('/publicRooms'))
    expect(whole).toEqual([...rooms].reverse())
    const first = await dora.get('/publicRooms', { limit: 2 })
    const second = await dora.get('/publicRooms', { limit: 2, since: text(first, 'next_batch') })
    const third = await dora.get('/publicRooms', { limit: 2, since: text(second, 'next_batch') })
    expect([...ids(first), ...ids(second), ...ids(third)]).toEqual(whole)
    expect(first).not.toHaveProperty('prev_batch')
    expect(third).not.toHaveProperty('next_batch')
    const back = await dora.get('/publicRooms', { limit: 2, since: text(third, 'prev_batch') })
    expect(ids(back)).toEqual(ids(second))
    const start = await dora.get('/publicRooms', { limit: 2, since: text(back, 'prev_batch') })
    expect(ids(start)).toEqual(ids(first))
    expect(start).not.toHaveProperty('prev_batch')
    expect(await answerOf(dora, 'GET', '/publicRooms?since=nonsense')).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('is for people with an account, and of this server', async () => {
    expect(await answerOf(nobody(other), 'GET', '/publicRooms')).toEqual([401, 'M_MISSING_TOKEN'])
    expect(await answerOf(dora, 'GET', '/publicRooms?server=elsewhere.test')).toEqual([404, 'M_NOT_FOUND'])
    expect(await answerOf(dora, 'GET', '/publicRooms?server=lethe.test')).toEqual([200, null])
  })
})
