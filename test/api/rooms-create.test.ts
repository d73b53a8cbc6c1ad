import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
  bob = await register(server)
  carol = await register(server)
})
afterAll(() => server.close())

async function stateOf(person: Person, room: string): Promise<JsonObject[]> {
  const done = await person.request('GET', path`/rooms/${room}/state`)
  expect(done.status).toBe(200)
  return Array.isArray(done.json) ? done.json.filter(isJsonObject) : []
}

const typesOf = (events: JsonObject[]): JsonValue[] => events.map(event => event['type'] ?? null)

async function refusal(person: Person, body: JsonObject): Promise<unknown> {
  const done = await person.request('POST', '/createRoom', body)
  return [done.status, isJsonObject(done.json) ? done.json['errcode'] : null]
}

describe('a new room', () => {
  it('has the state of a private chat unless something else is asked for', async () => {
    const room = await alice.createRoom()
    const state = await stateOf(alice, room)
    expect(typesOf(state)).toEqual([
      'm.room.create',
      'm.room.member',
      'm.room.power_levels',
      'm.room.join_rules',
      'm.room.history_visibility',
      'm.room.guest_access',
    ])
    expect(await alice.state(room, 'm.room.join_rules')).toEqual({ join_rule: 'invite' })
    expect(await alice.state(room, 'm.room.history_visibility')).toEqual({ history_visibility: 'shared' })
    expect(await alice.state(room, 'm.room.guest_access')).toEqual({ guest_access: 'can_join' })
    expect(await alice.state(room, 'm.room.create')).toEqual({ room_version: '12' })
  })

  it('is a public chat when it is to be in the directory', async () => {
    const room = await alice.createRoom({ visibility: 'public' })
    expect(await alice.state(room, 'm.room.join_rules')).toEqual({ join_rule: 'public' })
    expect(await alice.state(room, 'm.room.guest_access')).toEqual({ guest_access: 'forbidden' })
    expect(await alice.state(room, 'm.room.power_levels')).toMatchObject({ invite: 50 })
  })

  it('gives its creator infinite power in version 12 and level 100 before', async () => {
    const twelve = await alice.createRoom()
    expect(await alice.state(twelve, 'm.room.power_levels')).toMatchObject({
      users: {},
      state_default: 50,
      events_default: 0,
      events: { 'm.room.tombstone': 150, 'm.room.encryption': 100, 'm.room.server_acl': 100 },
    })
    const eleven = await alice.createRoom({ room_version: '11' })
    expect(await alice.state(eleven, 'm.room.power_levels')).toMatchObject({
      users: { [alice.userId]: 100 },
      events: { 'm.room.tombstone': 100 },
    })
    const ten = await alice.createRoom({ room_version: '10' })
    expect(await alice.state(ten, 'm.room.create')).toEqual({ room_version: '10', creator: alice.userId })
  })

  it.each(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'])(
    'can be of version %s and carry messages',
    async version => {
      const room = await alice.createRoom({ room_version: version, preset: 'public_chat', name: 'n', topic: 't' })
      await bob.join(room)
      expect(await bob.send(room, 'hello')).toMatch(/^\$/)
    },
  )

  it('puts its parts in the order of the specification', async () => {
    const room = await alice.createRoom({
      preset: 'public_chat',
      room_alias_name: 'order',
      name: 'Name',
      topic: 'Topic',
      invite: [bob.userId],
      initial_state: [
        { type: 'org.example.first', content: { n: 1 } },
        { type: 'org.example.second', state_key: 'key', content: { n: 2 } },
        { type: 'm.room.topic', content: { topic: 'not this one' } },
      ],
    })
    expect(typesOf(await stateOf(alice, room))).toEqual([
      'm.room.create',
      'm.room.member',
      'm.room.member',
      'm.room.power_levels',
      'm.room.canonical_alias',
      'm.room.join_rules',
      'm.room.history_visibility',
      'm.room.guest_access',
      'org.example.first',
      'org.example.second',
      'm.room.name',
      'm.room.topic',
    ])
    expect(await alice.state(room, 'm.room.canonical_alias')).toEqual({ alias: '#order:lethe.test' })
    expect(await alice.state(room, 'm.room.topic')).toEqual({
      topic: 'Topic',
      'm.topic': { 'm.text': [{ body: 'Topic' }] },
    })
    expect(await alice.state(room, 'org.example.second', 'key')).toEqual({ n: 2 })
    expect(await alice.state(room, 'm.room.member', bob.userId)).toMatchObject({ membership: 'invite' })
    expect(await alice.get(path`/directory/room/${'#order:lethe.test'}`)).toEqual({
      room_id: room,
      servers: ['lethe.test'],
    })
  })

  it('lets initial_state win over the preset', async () => {
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
        { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    expect(await alice.state(room, 'm.room.history_visibility')).toEqual({ history_visibility: 'joined' })
    expect(typesOf(await stateOf(alice, room)).filter(type => type === 'm.room.history_visibility')).toHaveLength(1)
  })

  it('says who its creator is by their profile', async () => {
    await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'Alice' })
    const room = await alice.createRoom()
    expect(await alice.state(room, 'm.room.member', alice.userId)).toEqual({ membership: 'join', displayname: 'Alice' })
  })

  it('marks the invitations to a direct chat', async () => {
    const room = await alice.createRoom({ is_direct: true, invite: [bob.userId, bob.userId, alice.userId] })
    expect(await alice.state(room, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'invite',
      is_direct: true,
    })
    expect(await alice.state(room, 'm.room.member', alice.userId)).toMatchObject({ membership: 'join' })
  })

  it('makes creators of those who are trusted', async () => {
    const twelve = await alice.createRoom({
      preset: 'trusted_private_chat',
      invite: [bob.userId],
      creation_content: { additional_creators: [carol.userId, bob.userId] },
    })
    expect(await alice.state(twelve, 'm.room.create')).toEqual({
      room_version: '12',
      additional_creators: [carol.userId, bob.userId],
    })
    const eleven = await alice.createRoom({
      preset: 'trusted_private_chat',
      invite: [bob.userId],
      room_version: '11',
    })
    expect(await alice.state(eleven, 'm.room.power_levels')).toMatchObject({
      users: { [alice.userId]: 100, [bob.userId]: 100 },
    })
  })

  it('takes a type and other keys from creation_content, but neither version nor creator', async () => {
    const room = await alice.createRoom({
      room_version: '11',
      creation_content: { type: 'm.space', room_version: 'x', creator: bob.userId, 'm.federate': false },
    })
    expect(await alice.state(room, 'm.room.create')).toEqual({
      type: 'm.space',
      room_version: '11',
      'm.federate': false,
    })
  })

  it('puts the override over the default power levels', async () => {
    const room = await alice.createRoom({
      power_level_content_override: { users: { [bob.userId]: 100 }, events_default: 7 },
    })
    expect(await alice.state(room, 'm.room.power_levels')).toMatchObject({
      users: { [bob.userId]: 100 },
      events_default: 7,
      ban: 50,
    })
  })

  it('is refused for what cannot be', async () => {
    expect(await refusal(alice, { room_version: 'ancient' })).toEqual([400, 'M_UNSUPPORTED_ROOM_VERSION'])
    expect(await refusal(alice, { room_version: 1 })).toEqual([400, 'M_BAD_JSON'])
    expect(await refusal(alice, { preset: 'open_chat' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { name: 'x'.repeat(2000) })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { room_alias_name: 'a b' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { room_alias_name: 'a:b' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { invite: ['bob'] })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { invite_3pid: [{ medium: 'email', address: 'a@example.org' }] })).toEqual([
      403,
      'M_THREEPID_DENIED',
    ])
    expect(await refusal(alice, { creation_content: { additional_creators: ['bob'] } })).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
    expect(await refusal(alice, { creation_content: { additional_creators: 'bob' } })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await refusal(alice, { power_level_content_override: { users: { [alice.userId]: 100 } } })).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
    expect(await refusal(alice, { power_level_content_override: { ban: 'high' } })).toEqual([400, 'M_BAD_JSON'])
    expect(
      await refusal(alice, { room_version: '11', power_level_content_override: { users: { [bob.userId]: 100 } } }),
    ).toEqual([400, 'M_INVALID_ROOM_STATE'])
    expect(await refusal(alice, { initial_state: [{ type: 'm.room.create', content: {} }] })).toEqual([
      400,
      'M_INVALID_ROOM_STATE',
    ])
    expect(
      await refusal(alice, {
        initial_state: [{ type: 'm.room.canonical_alias', content: { alias: '#no:lethe.test' } }],
      }),
    ).toEqual([400, 'M_BAD_ALIAS'])
  })

  it('cannot take an alias that is taken, and then leaves nothing behind', async () => {
    await alice.createRoom({ room_alias_name: 'taken' })
    const before = await alice.get('/joined_rooms')
    expect(await refusal(alice, { room_alias_name: 'taken' })).toEqual([400, 'M_ROOM_IN_USE'])
    const [one, other] = await Promise.all([
      alice.request('POST', '/createRoom', { room_alias_name: 'race' }),
      alice.request('POST', '/createRoom', { room_alias_name: 'race' }),
    ])
    expect([one.status, other.status].sort()).toEqual([200, 400])
    const after = await alice.get('/joined_rooms')
    expect((after['joined_rooms'] as string[]).length).toBe((before['joined_rooms'] as string[]).length + 1)
  })

  it('is a different room each time, even in the same millisecond', async () => {
    const rooms = await Promise.all([alice.createRoom(), alice.createRoom(), alice.createRoom()])
    expect(new Set(rooms).size).toBe(3)
  })
})

describe('a server that encrypts private rooms', () => {
  it('encrypts new private rooms and no public ones', async () => {
    const encrypting = await startTestServer({ settings: { encryption: { default_in_private_rooms: true } } })
    try {
      const dora = await register(encrypting)
      const quiet = await dora.createRoom({ preset: 'private_chat' })
      expect(await dora.state(quiet, 'm.room.encryption')).toEqual({ algorithm: 'm.megolm.v1.aes-sha2' })
      const open = await dora.createRoom({ preset: 'public_chat' })
      expect((await dora.request('GET', path`/rooms/${open}/state/m.room.encryption/`)).status).toBe(404)
    } finally {
      await encrypting.close()
    }
  })
})

describe('a server with a default room version of its own', () => {
  it('says so, and makes rooms of it unless another version is asked for', async () => {
    const older = await startTestServer({ settings: { rooms: { default_version: '11' } } })
    try {
      const dora = await register(older)
      const { capabilities } = await dora.get('/capabilities')
      expect(capabilities).toMatchObject({ 'm.room_versions': { default: '11' } })
      const room = await dora.createRoom()
      expect(await dora.state(room, 'm.room.create')).toMatchObject({ room_version: '11' })
      const newer = await dora.createRoom({ room_version: '12' })
      expect(await dora.state(newer, 'm.room.create')).toMatchObject({ room_version: '12' })
    } finally {
      await older.close()
    }
  })
})
