import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, type Person, type Query, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
  bob = await register(server, 'bob')
})
afterAll(() => server.close())

type Section = 'join' | 'leave'

const timelineOf = (sync: JsonObject, room: string, section: Section = 'join') =>
  objectsAt(sync, 'rooms', section, room, 'timeline', 'events')
const bodies = (sync: JsonObject, room: string, section: Section = 'join') =>
  timelineOf(sync, room, section).flatMap(event => at(event, 'content', 'body') ?? [])
const stateOf = (sync: JsonObject, room: string, key = 'state', section: Section = 'join') =>
  objectsAt(sync, 'rooms', section, room, key, 'events')
const pairs = (events: JsonObject[]) => events.map(event => `${text(event, 'type')} ${text(event, 'state_key')}`).sort()
const filtered = (filter: JsonObject, more: Query = {}): Query => ({ ...more, filter: JSON.stringify(filter) })
const limited = (limit: number, more: Query = {}): Query => filtered({ room: { timeline: { limit } } }, more)

async function shared(body: JsonObject = {}): Promise<string> {
  const room = await alice.createRoom({ preset: 'public_chat', ...body })
  await bob.join(room)
  return room
}

describe('a timeline in /sync', () => {
  it('says that it is cut, and where it goes on', async () => {
    const room = await shared()
    const since = await bob.now()
    for (let index = 0; index < 5; index++) await alice.send(room, `m${index}`)
    const sync = await bob.sync(limited(2, { since }))
    expect(bodies(sync, room)).toEqual(['m3', 'm4'])
    expect(at(sync, 'rooms', 'join', room, 'timeline', 'limited')).toBe(true)
    const from = String(at(sync, 'rooms', 'join', room, 'timeline', 'prev_batch'))
    const before = await bob.messages(room, { dir: 'b', from, limit: 3 })
    expect(objectsAt(before, 'chunk').map(event => at(event, 'content', 'body'))).toEqual(['m2', 'm1', 'm0'])
  })

  it('tells of each event what the reader was then', async () => {
    const said = (sync: JsonObject, room: string, section: Section = 'join') =>
      timelineOf(sync, room, section).map(event => [
        at(event, 'content', 'body') ?? at(event, 'content', 'membership') ?? text(event, 'type'),
        at(event, 'unsigned', 'membership'),
      ])
    const room = await alice.createRoom({ preset: 'public_chat' })
    await alice.send(room, 'before bob')
    const since = await bob.now()
    await bob.join(room)
    await alice.send(room, 'with bob')
    const expected = [
      ['before bob', 'leave'],
      ['join', 'join'],
      ['with bob', 'join'],
    ]
    expect(said(await bob.sync(limited(3)), room)).toEqual(expected)
    expect(said(await bob.sync(limited(3, { since })), room)).toEqual(expected)
    const inside = await bob.now()
    await alice.send(room, 'the last that bob reads')
    await bob.leave(room)
    await alice.send(room, 'without bob')
    expect(said(await bob.sync({ since: inside }), room, 'leave')).toEqual([
      ['the last that bob reads', 'join'],
      ['leave', 'leave'],
    ])
  })

  it('gives the state that changed in the gap, as it was at its start', async () => {
    const room = await shared()
    await alice.setState(room, 'm.room.topic', { topic: 'before' })
    const since = await bob.now()
    await alice.setState(room, 'm.room.topic', { topic: 'in the gap' })
    await alice.send(room, 'between')
    const shownId = await alice.setState(room, 'm.room.topic', { topic: 'in the timeline' })
    await alice.send(room, 'after')
    const sync = await bob.sync(limited(2, { since }))
    expect(timelineOf(sync, room).map(event => text(event, 'type'))).toEqual(['m.room.topic', 'm.room.message'])
    expect(stateOf(sync, room).map(event => at(event, 'content', 'topic'))).toEqual(['in the gap'])
    for (const key of ['state_after', 'org.matrix.msc4222.state_after']) {
      const name = key.replace('state_after', 'use_state_after')
      const after = await bob.sync(limited(2, { since, [name]: true }))
      expect(at(after, 'rooms', 'join', room, 'state')).toBeUndefined()
      expect(stateOf(after, room, key).map(event => event['event_id'])).toEqual([shownId])
    }
  })

  it('tells state that a filter keeps out of the timeline as state', async () => {
    const room = await shared()
    const since = await bob.now()
    await alice.setState(room, 'm.room.topic', { topic: 'unseen' })
    await alice.send(room, 'seen')
    const sync = await bob.sync(filtered({ room: { timeline: { types: ['m.room.message'] } } }, { since }))
    expect(bodies(sync, room)).toEqual(['seen'])
    expect(stateOf(sync, room).map(event => at(event, 'content', 'topic'))).toEqual(['unseen'])
  })

  it('shows events as the filter asks for them', async () => {
    const room = await shared()
    const since = await bob.now()
    await alice.send(room, { msgtype: 'm.text', body: 'fields', extra: 1 })
    // Such events lack what the specification's schema requires of events, so they are not held against it.
    const shaped = async (filter: JsonObject): Promise<JsonObject | undefined> => {
      const query = new URLSearchParams({ since, filter: JSON.stringify(filter) })
      const headers = { Authorization: `Bearer ${bob.accessToken}` }
      const answer = await fetch(`${server.url}/_matrix/client/v3/sync?${query}`, { headers })
      return timelineOf((await answer.json()) as JsonObject, room)[0] // An answer to /sync is an object.
    }
    expect(await shaped({ event_fields: ['content.body', 'event_id'] })).toEqual({
      content: { body: 'fields' },
      event_id: expect.any(String),
    })
    expect(await shaped({ event_format: 'federation' })).toHaveProperty('auth_events')
  })

  it('tells the sending device alone its transaction ID', async () => {
    const room = await shared()
    const since = await alice.now()
    const other = await alice.login()
    await alice.send(room, { msgtype: 'm.text', body: 'mine' }, 'm.room.message', 'the-transaction')
    const unsigned = async (person: Person) => at(timelineOf(await person.sync({ since }), room)[0], 'unsigned')
    expect(await unsigned(alice)).toHaveProperty('transaction_id', 'the-transaction')
    expect(await unsigned(other)).not.toHaveProperty('transaction_id')
    expect(await unsigned(bob)).not.toHaveProperty('transaction_id')
  })

  it('shows nothing of a redacted event, not even as what another replaced', async () => {
    const room = await shared()
    const since = await bob.now()
    const message = await alice.send(room, 'a secret')
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'a secret' })
    await alice.setState(room, 'm.room.topic', { topic: 'open' })
    await alice.redact(room, message)
    await alice.redact(room, topic)
    const sync = await bob.sync({ since })
    expect(JSON.stringify(sync)).not.toContain('a secret')
    const pruned = timelineOf(sync, room).find(event => event['event_id'] === message)
    expect(at(pruned, 'unsigned', 'redacted_because', 'type')).toBe('m.room.redaction')
    expect(JSON.stringify(await bob.sync())).not.toContain('a secret')
  })

  it('leaves out the messages of ignored users, but not their state', async () => {
    const room = await shared()
    const carol = await register(server)
    await carol.join(room)
    await carol.put(path`/user/${carol.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [alice.userId]: {} },
    })
    const since = await carol.now()
    await alice.send(room, 'unheard')
    await alice.setState(room, 'm.room.topic', { topic: 'told' })
    await bob.send(room, 'heard')
    const sync = await carol.sync({ since })
    expect(timelineOf(sync, room).map(event => text(event, 'type'))).toEqual(['m.room.topic', 'm.room.message'])
    const private_ = await alice.createRoom({ preset: 'private_chat', invite: [carol.userId] })
    expect(at(await carol.sync({ since }), 'rooms', 'invite', private_)).toBeUndefined()
  })
})

describe('a room that begins or ends in /sync', () => {
  it('is told whole to whoever joins it, with its history', async () => {
    const room = await alice.createRoom({ preset: 'public_chat', topic: 'old' })
    for (let index = 0; index < 4; index++) await alice.send(room, `old ${index}`)
    const since = await bob.now()
    await bob.join(room)
    const sync = await bob.sync(limited(2, { since }))
    expect(bodies(sync, room)).toEqual(['old 3'])
    expect(at(sync, 'rooms', 'join', room, 'timeline', 'limited')).toBe(true)
    expect(pairs(stateOf(sync, room))).toContain('m.room.topic ')
    expect(pairs(stateOf(sync, room))).toContain(`m.room.member ${alice.userId}`)
    expect(at(sync, 'rooms', 'join', room, 'summary', 'm.joined_member_count')).toBe(2)
  })

  it('goes from an invitation to a joined room', async () => {
    const since = await bob.now()
    const room = await alice.createRoom({ preset: 'private_chat', name: 'Secret', invite: [bob.userId] })
    const invited = await bob.sync({ since })
    const stripped = objectsAt(invited, 'rooms', 'invite', room, 'invite_state', 'events')
    expect(stripped.find(event => event['type'] === 'm.room.name')).toEqual({
      type: 'm.room.name',
      state_key: '',
      sender: alice.userId,
      content: { name: 'Secret' },
    })
    expect(at(await bob.sync(), 'rooms', 'invite', room)).toBeDefined()
    await bob.join(room)
    const joined = await bob.sync({ since: text(invited, 'next_batch') })
    expect(at(joined, 'rooms', 'invite')).toBeUndefined()
    expect(pairs([...stateOf(joined, room), ...timelineOf(joined, room).filter(e => 'state_key' in e)])).toContain(
      'm.room.name ',
    )
  })

  it('tells of a knock', async () => {
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
    })
    const since = await bob.now()
    await bob.post(path`/knock/${room}`)
    expect(at(await bob.sync({ since }), 'rooms', 'knock', room, 'knock_state', 'events')).toBeDefined()
  })

  it('ends with the event that ended it, and nothing later', async () => {
    const room = await shared()
    const since = await bob.now()
    await alice.send(room, 'while in')
    await alice.kick(room, bob.userId, 'enough')
    await alice.send(room, 'behind the back')
    await alice.setState(room, 'm.room.topic', { topic: 'behind the back' })
    for (const query of [{ since }, { since, use_state_after: true }, { since, full_state: true }]) {
      const sync = await bob.sync(query)
      expect(at(sync, 'rooms', 'join', room)).toBeUndefined()
      expect(timelineOf(sync, room, 'leave').map(event => text(event, 'type'))).toEqual([
        'm.room.message',
        'm.room.member',
      ])
      expect(JSON.stringify(sync)).not.toContain('behind the back')
    }
    await alice.ban(room, bob.userId)
    const banned = await bob.sync({ since })
    expect(JSON.stringify(banned)).not.toContain('behind the back')
    expect(at(timelineOf(banned, room, 'leave').at(-1), 'content', 'membership')).toBe('ban')
  })

  it('tells of an invitation that was withdrawn', async () => {
    const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const since = await bob.now()
    await alice.send(room, 'not for bob')
    await alice.kick(room, bob.userId)
    const sync = await bob.sync({ since })
    expect(timelineOf(sync, room, 'leave').map(event => at(event, 'content', 'membership'))).toEqual(['leave'])
    expect(JSON.stringify(sync)).not.toContain('not for bob')
  })

  it('is among the left rooms of a first sync only if asked for, and not when forgotten', async () => {
    const room = await shared()
    await alice.send(room, 'kept')
    await bob.leave(room)
    await alice.send(room, 'too late')
    expect(at(await bob.sync(), 'rooms', 'leave', room)).toBeUndefined()
    const archived = await bob.sync(filtered({ room: { include_leave: true } }))
    expect(bodies(archived, room, 'leave')).toEqual(['kept'])
    expect(pairs(stateOf(archived, room, 'state', 'leave')).length).toBeGreaterThanOrEqual(0)
    await bob.post(path`/rooms/${room}/forget`)
    expect(at(await bob.sync(filtered({ room: { include_leave: true } })), 'rooms', 'leave', room)).toBeUndefined()
  })

  it('is not told when left and forgotten in one span', async () => {
    const room = await shared()
    const since = await bob.now()
    await bob.leave(room)
    await bob.post(path`/rooms/${room}/forget`)
    expect(at(await bob.sync({ since }), 'rooms')).toBeUndefined()
  })

  it('goes on after a return with what was said meanwhile', async () => {
    const room = await shared()
    const since = await bob.now()
    await bob.leave(room)
    await alice.send(room, 'meanwhile')
    await alice.setState(room, 'm.room.topic', { topic: 'meanwhile' })
    await bob.join(room)
    const sync = await bob.sync({ since })
    expect(bodies(sync, room)).toEqual(['meanwhile'])
    expect(pairs(stateOf(sync, room))).toContain('m.room.create ')
  })

  it('hides history from before joining where the room says so', async () => {
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }],
    })
    await alice.send(room, 'before')
    await bob.join(room)
    await alice.send(room, 'after')
    expect(bodies(await bob.sync(), room)).toEqual(['after'])
  })
})

describe('the rooms of /sync', () => {
  it('are those that the filter lets pass', async () => {
    const [one, two] = [await shared(), await shared()]
    const since = await bob.now()
    await alice.send(one, 'one')
    await alice.send(two, 'two')
    const only = await bob.sync(filtered({ room: { rooms: [one] } }, { since }))
    expect(Object.keys(at(only, 'rooms', 'join') ?? {})).toEqual([one])
    const without = await bob.sync(filtered({ room: { not_rooms: [one] } }, { since }))
    expect(Object.keys(at(without, 'rooms', 'join') ?? {})).toEqual([two])
  })

  it('are all told whole when full state is asked for', async () => {
    const room = await shared()
    const since = await bob.now()
    const sync = await bob.sync({ since, full_state: true, timeout: 30_000 })
    expect(bodies(sync, room)).toEqual([])
    expect(pairs(stateOf(sync, room))).toContain('m.room.create ')
  })

  it('have heroes where they have no name', async () => {
    const room = await shared()
    expect(at(await bob.sync(), 'rooms', 'join', room, 'summary')).toEqual({
      'm.heroes': [alice.userId],
      'm.joined_member_count': 2,
      'm.invited_member_count': 0,
    })
    const since = await bob.now()
    await alice.send(room, 'no change')
    expect(at(await bob.sync({ since }), 'rooms', 'join', room, 'summary')).toEqual({})
    const carol = await register(server)
    await alice.invite(room, carol.userId)
    expect(at(await bob.sync({ since }), 'rooms', 'join', room, 'summary')).toEqual({
      'm.heroes': [alice.userId, carol.userId],
      'm.joined_member_count': 2,
      'm.invited_member_count': 1,
    })
  })
})

describe('lazy loading', () => {
  const lazy = (more: JsonObject = {}): JsonObject => ({
    room: { state: { lazy_load_members: true, ...more }, timeline: { limit: 2 } },
  })
  const members = (events: JsonObject[]) =>
    events.filter(event => event['type'] === 'm.room.member').map(event => text(event, 'state_key'))

  it('tells of those who speak, of oneself and of nobody twice', async () => {
    const room = await shared({ name: 'Named' })
    const carol = await register(server)
    const dora = await register(server)
    await carol.join(room)
    await dora.join(room)
    for (let index = 0; index < 3; index++) await alice.send(room, `m${index}`)
    const first = await bob.sync(filtered(lazy()))
    expect(members(stateOf(first, room)).sort()).toEqual([alice.userId, bob.userId].sort())
    await carol.send(room, 'now me')
    await alice.send(room, 'and me')
    const next = await bob.sync(filtered(lazy(), { since: text(first, 'next_batch') }))
    expect(members(stateOf(next, room))).toEqual([carol.userId])
    const again = await bob.sync(filtered(lazy(), { since: text(first, 'next_batch') }))
    expect(members(stateOf(again, room))).toEqual([carol.userId])
    const since = text(next, 'next_batch')
    await carol.send(room, 'once more')
    expect(members(stateOf(await bob.sync(filtered(lazy(), { since })), room))).toEqual([])
    const redundant = await bob.sync(filtered(lazy({ include_redundant_members: true }), { since }))
    expect(members(stateOf(redundant, room))).toEqual([carol.userId])
  })

  it('tells of every member who changed in a gap', async () => {
    const room = await shared({ name: 'Named' })
    const carol = await register(server)
    const since = await bob.now()
    await carol.join(room)
    for (let index = 0; index < 3; index++) await alice.send(room, `m${index}`)
    const sync = await bob.sync(filtered(lazy(), { since }))
    expect(members(stateOf(sync, room))).toContain(carol.userId)
  })

  it('shows a speaker as they were at the start of the timeline', async () => {
    const room = await shared({ name: 'Named' })
    await alice.setState(room, 'm.room.member', { membership: 'join', displayname: 'old' }, alice.userId)
    const since = await bob.now()
    await alice.send(room, 'as old')
    await alice.setState(room, 'm.room.member', { membership: 'join', displayname: 'new' }, alice.userId)
    const names = (events: JsonObject[]) =>
      events.filter(each => each['state_key'] === alice.userId).map(each => at(each, 'content', 'displayname'))
    expect(names(stateOf(await bob.sync(filtered(lazy(), { since })), room))).toEqual(['old'])
    const after = await bob.sync(filtered(lazy(), { since, use_state_after: true }))
    expect(names(stateOf(after, room, 'state_after'))).toEqual(['new'])
  })

  it('adds the members after whom a nameless room is called', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    for (let index = 0; index < 3; index++) await bob.send(room, `m${index}`)
    const sync = await bob.sync(filtered(lazy()))
    expect(members(stateOf(sync, room)).sort()).toEqual([alice.userId, bob.userId].sort())
  })
})
