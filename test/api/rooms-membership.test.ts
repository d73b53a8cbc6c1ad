import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { answerOf } from '../harness/refusal.ts'
import { at, path, type Person, type Query, register, text } from '../harness/people.ts'
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

function membership(person: Person, of: Person, inRoom = room): Promise<JsonObject> {
  return person.state(inRoom, 'm.room.member', of.userId)
}

/** Whole answers, to see that no word tells one case from another. */
async function words(person: Person, method: string, target: string, body?: JsonObject): Promise<unknown> {
  const done = await person.request(method, target, body)
  return [done.status, done.json]
}

describe('joining', () => {
  it('lets anybody into a public room, by ID and by alias', async () => {
    const named = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'door' })
    expect(await bob.join(named)).toBe(named)
    expect(await carol.join('#door:lethe.test')).toBe(named)
    expect(await bob.post(path`/rooms/${room}/join`)).toEqual({ room_id: room })
    expect(at(await bob.get('/joined_rooms'), 'joined_rooms')).toEqual(expect.arrayContaining([named, room]))
  })

  it('makes no second event for one who is in the room', async () => {
    await bob.join(room)
    const before = await bob.get(path`/rooms/${room}/state/m.room.member/${bob.userId}`, { format: 'event' })
    await bob.join(room)
    const after = await bob.get(path`/rooms/${room}/state/m.room.member/${bob.userId}`, { format: 'event' })
    expect(after['event_id']).toBe(before['event_id'])
  })

  it('says the name, the avatar and the reason', async () => {
    await bob.put(path`/profile/${bob.userId}/displayname`, { displayname: 'Bob' })
    await bob.put(path`/profile/${bob.userId}/avatar_url`, { avatar_url: 'mxc://lethe.test/bob' })
    await bob.post(path`/rooms/${room}/join`, { reason: 'curious' })
    expect(await membership(bob, bob)).toEqual({
      membership: 'join',
      displayname: 'Bob',
      avatar_url: 'mxc://lethe.test/bob',
      reason: 'curious',
    })
  })

  it('carries further keys into the member event, but none that mean something', async () => {
    await bob.put(path`/profile/${bob.userId}/displayname`, { displayname: 'Bob' })
    await bob.put(path`/profile/${bob.userId}/avatar_url`, { avatar_url: 'mxc://lethe.test/bob' })
    const own = { 'org.example.mood': { happy: true }, foo: 'bar' }
    const meant = {
      membership: 'ban',
      displayname: 'Mallory',
      avatar_url: 'mxc://lethe.test/mallory',
      is_direct: true,
      join_authorised_via_users_server: alice.userId,
      third_party_invite: { display_name: 'Mallory' },
      third_party_signed: { mxid: bob.userId },
    }
    for (const target of [
      path`/rooms/${room}/join`,
      path`/join/${await alice.createRoom({ preset: 'public_chat' })}`,
    ]) {
      const joined = await bob.post(target, { ...own, ...meant })
      expect(await membership(bob, bob, text(joined, 'room_id'))).toEqual({
        membership: 'join',
        displayname: 'Bob',
        avatar_url: 'mxc://lethe.test/bob',
        ...own,
      })
    }
  })

  it('says the same of a room that is closed and of one that is not there', async () => {
    const closed = await alice.createRoom()
    const refusal = await words(bob, 'POST', path`/rooms/${closed}/join`, {})
    expect(refusal).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    expect(await words(bob, 'POST', path`/rooms/${unknownRoom}/join`, {})).toEqual(refusal)
    expect(await words(bob, 'POST', path`/join/${unknownRoom}`, {})).toEqual(refusal)
    await alice.ban(room, bob.userId)
    expect(await words(bob, 'POST', path`/join/${room}`, {})).toEqual(refusal)
    expect(await answerOf(bob, 'POST', path`/join/${'#nothing:lethe.test'}`, {})).toEqual([404, 'M_NOT_FOUND'])
    expect(await answerOf(bob, 'POST', path`/join/${'nonsense'}`, {})).toEqual([400, 'M_INVALID_PARAM'])
  })
})

describe('restricted rooms', () => {
  let club: string
  beforeEach(async () => {
    club = await alice.createRoom({
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] },
        },
      ],
    })
  })

  it('let in the members of the other room, vouched for by one who may invite', async () => {
    await bob.join(room)
    await bob.join(club)
    expect(await membership(bob, bob, club)).toMatchObject({
      membership: 'join',
      join_authorised_via_users_server: alice.userId,
    })
  })

  it('keep out everybody else', async () => {
    expect(await answerOf(bob, 'POST', path`/join/${club}`, {})).toEqual(forbidden)
    await bob.join(room)
    await bob.leave(room)
    expect(await answerOf(bob, 'POST', path`/join/${club}`, {})).toEqual(forbidden)
  })

  it('ask nothing of one who is invited', async () => {
    await alice.invite(club, bob.userId)
    await bob.join(club)
    expect(await membership(bob, bob, club)).not.toHaveProperty('join_authorised_via_users_server')
  })

  it('keep everybody out when no member may invite', async () => {
    const quiet = await alice.createRoom({
      room_version: '11',
      power_level_content_override: { invite: 200 },
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] },
        },
      ],
    })
    await bob.join(room)
    expect(await answerOf(bob, 'POST', path`/join/${quiet}`, {})).toEqual(forbidden)
  })

  it('take knocks too where the rule says so', async () => {
    await alice.setState(club, 'm.room.join_rules', {
      join_rule: 'knock_restricted',
      allow: [{ type: 'm.room_membership', room_id: room }],
    })
    await carol.post(path`/knock/${club}`, { reason: 'please' })
    expect(await membership(alice, carol, club)).toMatchObject({ membership: 'knock', reason: 'please' })
    await bob.join(room)
    await bob.join(club)
  })
})

describe('inviting', () => {
  it('opens a private room to one user', async () => {
    const closed = await alice.createRoom()
    await alice.post(path`/rooms/${closed}/invite`, { user_id: bob.userId, reason: 'come in' })
    expect(await membership(alice, bob, closed)).toMatchObject({ membership: 'invite', reason: 'come in' })
    expect(await bob.join(closed)).toBe(closed)
  })

  it('is refused for those in the room, those banned, oneself, and by those outside', async () => {
    await bob.join(room)
    await alice.ban(room, carol.userId)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: bob.userId })).toEqual(forbidden)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: carol.userId })).toEqual(forbidden)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: alice.userId })).toEqual(forbidden)
    const closed = await alice.createRoom()
    const refusal = await words(bob, 'POST', path`/rooms/${closed}/invite`, { user_id: carol.userId })
    expect(refusal).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    expect(await words(bob, 'POST', path`/rooms/${unknownRoom}/invite`, { user_id: carol.userId })).toEqual(refusal)
  })

  it('needs the level that the room asks for', async () => {
    await bob.join(room)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/invite`, { user_id: carol.userId })).toEqual(forbidden)
  })

  it('makes no second event when it is said again', async () => {
    const closed = await alice.createRoom()
    await alice.invite(closed, bob.userId)
    const first = await alice.get(path`/rooms/${closed}/state/m.room.member/${bob.userId}`, { format: 'event' })
    await alice.invite(closed, bob.userId)
    const second = await alice.get(path`/rooms/${closed}/state/m.room.member/${bob.userId}`, { format: 'event' })
    expect(second['event_id']).toBe(first['event_id'])
  })

  it('respects those who take no invitations', async () => {
    const dora = await register(server)
    const rule = path`/user/${dora.userId}/account_data/${'m.invite_permission_config'}`
    await dora.put(rule, { default_action: 'block' })
    const blocked = [403, 'M_INVITE_BLOCKED']
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: dora.userId })).toEqual(blocked)
    expect(await answerOf(alice, 'POST', '/createRoom', { invite: [dora.userId] })).toEqual(blocked)
    expect(
      await answerOf(alice, 'PUT', path`/rooms/${room}/state/m.room.member/${dora.userId}`, { membership: 'invite' }),
    ).toEqual(blocked)
    await dora.put(rule, {})
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: dora.userId })).toEqual([200, null])
  })

  it('is kept from those who block invitations, until they do not', async () => {
    const erin = await register(server)
    const rule = path`/user/${erin.userId}/account_data/${'m.invite_permission_config'}`
    await alice.invite(room, erin.userId)
    const invitation = async (query: Query = {}) => at(await erin.sync(query), 'rooms', 'invite', room)
    expect(await invitation()).toBeDefined()
    await erin.put(rule, { default_action: 'block' })
    expect(await invitation()).toBeUndefined()
    expect(await invitation({ full_state: true })).toBeUndefined()
    await erin.put(rule, {})
    expect(await invitation()).toBeDefined()
  })

  it('by an address is not on offer', async () => {
    const body = { medium: 'email', address: 'bob@example.org', id_server: 'example.org', id_access_token: 'x' }
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, body)).toEqual([403, 'M_THREEPID_DENIED'])
  })

  it('does not reach other servers while this one keeps to itself', async () => {
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: '@x:elsewhere.test' })).toEqual(
      forbidden,
    )
  })
})

describe('leaving', () => {
  it('ends a stay, rejects an invitation, and is nothing the second time', async () => {
    await bob.join(room)
    await bob.leave(room, 'bored')
    expect(await membership(alice, bob)).toEqual({ membership: 'leave', reason: 'bored' })
    await bob.leave(room)
    await alice.invite(room, carol.userId)
    await carol.leave(room)
    expect(await membership(alice, carol)).toMatchObject({ membership: 'leave' })
  })

  it('rejects an invitation to a room that everybody has left', async () => {
    const closed = await alice.createRoom({ invite: [bob.userId] })
    await alice.leave(closed)
    await bob.leave(closed)
  })

  it('says the same of a room that one has nothing to do with and of one that is not there', async () => {
    const refusal = await words(bob, 'POST', path`/rooms/${room}/leave`, {})
    expect(refusal).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    expect(await words(bob, 'POST', path`/rooms/${unknownRoom}/leave`, {})).toEqual(refusal)
  })
})

describe('forgetting', () => {
  it('is for those who have left', async () => {
    const unknown = [400, 'M_UNKNOWN']
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/forget`, {})).toEqual(unknown)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/forget`, {})).toEqual(unknown)
    expect(await answerOf(bob, 'POST', path`/rooms/${unknownRoom}/forget`, {})).toEqual(unknown)
    await bob.join(room)
    await bob.leave(room)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/forget`, {})).toEqual([200, null])
    await alice.ban(room, carol.userId)
    expect(await answerOf(carol, 'POST', path`/rooms/${room}/forget`, {})).toEqual([200, null])
  })

  it('closes what was open to those who left, until they come back', async () => {
    await bob.join(room)
    await alice.send(room, 'hello')
    await bob.leave(room)
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state`)).toEqual([200, null])
    expect(await answerOf(bob, 'GET', `${path`/rooms/${room}/messages`}?dir=b`)).toEqual([200, null])
    await bob.post(path`/rooms/${room}/forget`)
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state`)).toEqual(forbidden)
    expect(await answerOf(bob, 'GET', `${path`/rooms/${room}/messages`}?dir=b`)).toEqual(forbidden)
    await bob.join(room)
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state`)).toEqual([200, null])
    await bob.leave(room)
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state`)).toEqual([200, null])
  })

  it('outlives what others do to one who is gone, but not an invitation', async () => {
    await bob.join(room)
    await bob.leave(room)
    await bob.post(path`/rooms/${room}/forget`)
    const since = await bob.now()
    await alice.ban(room, bob.userId)
    await alice.unban(room, bob.userId)
    expect(at(await bob.sync({ since }), 'rooms')).toBeUndefined()
    const everything = await bob.sync({ filter: '{"room":{"include_leave":true}}' })
    expect(at(everything, 'rooms', 'leave', room)).toBeUndefined()
    expect(await answerOf(bob, 'GET', path`/rooms/${room}/state`)).toEqual(forbidden)
    await alice.invite(room, bob.userId)
    expect(at(await bob.sync({ since }), 'rooms', 'invite', room)).toBeDefined()
  })
})

describe('kicking', () => {
  it('removes members, invitations and knocks, with the reason', async () => {
    await bob.join(room)
    await alice.kick(room, bob.userId, 'rude')
    expect(await membership(alice, bob)).toEqual({ membership: 'leave', reason: 'rude' })
    await alice.invite(room, bob.userId)
    await alice.kick(room, bob.userId)
    expect(await membership(alice, bob)).toEqual({ membership: 'leave' })
  })

  it('is refused without the power, and for those who are not there', async () => {
    await bob.join(room)
    await carol.join(room)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/kick`, { user_id: carol.userId })).toEqual(forbidden)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/kick`, { user_id: alice.userId })).toEqual(forbidden)
    await carol.leave(room)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/kick`, { user_id: carol.userId })).toEqual(forbidden)
    await alice.ban(room, carol.userId)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/kick`, { user_id: carol.userId })).toEqual(forbidden)
    expect(await membership(alice, carol)).toMatchObject({ membership: 'ban' })
  })
})

describe('banning', () => {
  it('removes and keeps out, until the ban is lifted', async () => {
    await bob.join(room)
    await alice.ban(room, bob.userId, 'spam')
    expect(await membership(alice, bob)).toEqual({ membership: 'ban', reason: 'spam' })
    expect(await answerOf(bob, 'POST', path`/join/${room}`, {})).toEqual(forbidden)
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/unban`, { user_id: bob.userId })).toEqual(forbidden)
    await alice.unban(room, bob.userId)
    await bob.join(room)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/unban`, { user_id: bob.userId })).toEqual(forbidden)
    expect(await membership(alice, bob)).toMatchObject({ membership: 'join' })
  })

  it('is refused to those who are not in the room, whatever their level', async () => {
    await bob.join(room)
    await alice.setState(room, 'm.room.power_levels', { users: { [carol.userId]: 100 } })
    expect(await answerOf(carol, 'POST', path`/rooms/${room}/ban`, { user_id: bob.userId })).toEqual(forbidden)
  })

  it('cannot be done to a creator of version 12', async () => {
    await bob.join(room)
    await alice.setState(room, 'm.room.power_levels', { users: { [bob.userId]: Number.MAX_SAFE_INTEGER } })
    expect(await answerOf(bob, 'POST', path`/rooms/${room}/ban`, { user_id: alice.userId })).toEqual(forbidden)
    expect(await answerOf(alice, 'POST', path`/rooms/${room}/ban`, { user_id: bob.userId })).toEqual([200, null])
  })
})

describe('knocking', () => {
  it('asks at rooms that take knocks, and is taken back by leaving', async () => {
    const door = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
      room_alias_name: 'knock-here',
    })
    expect(await bob.post(path`/knock/${'#knock-here:lethe.test'}`, { reason: 'hello' })).toEqual({ room_id: door })
    expect(await membership(alice, bob, door)).toMatchObject({ membership: 'knock', reason: 'hello' })
    await bob.leave(door)
    await bob.post(path`/knock/${door}`)
    await alice.invite(door, bob.userId)
    await bob.join(door)
    expect(await answerOf(bob, 'POST', path`/knock/${door}`, {})).toEqual(forbidden)
  })

  it('says the same of a room that takes none and of one that is not there', async () => {
    const refusal = await words(bob, 'POST', path`/knock/${room}`, {})
    expect(refusal).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    expect(await words(bob, 'POST', path`/knock/${unknownRoom}`, {})).toEqual(refusal)
    expect(await answerOf(bob, 'POST', path`/knock/${'#nothing:lethe.test'}`, {})).toEqual([404, 'M_NOT_FOUND'])
  })
})

describe('memberships as state', () => {
  it('go the same way as the requests for them', async () => {
    const put = (person: Person, target: Person, content: JsonObject) =>
      answerOf(person, 'PUT', path`/rooms/${room}/state/m.room.member/${target.userId}`, content)
    expect(await put(bob, bob, { membership: 'join', displayname: 'Only here' })).toEqual([200, null])
    expect(await membership(bob, bob)).toMatchObject({ membership: 'join', displayname: 'Only here' })
    expect(await put(bob, bob, { membership: 'join', displayname: 'Another' })).toEqual([200, null])
    expect(await membership(bob, bob)).toMatchObject({ displayname: 'Another' })
    expect(await put(alice, bob, { membership: 'leave' })).toEqual([200, null])
    expect(await put(alice, bob, { membership: 'ban' })).toEqual([200, null])
    expect(await put(alice, bob, { membership: 'leave' })).toEqual([200, null])
    expect(await put(alice, bob, { membership: 'invite' })).toEqual([200, null])
    expect(await put(bob, bob, { membership: 'leave' })).toEqual([200, null])
    expect(await put(alice, bob, { membership: 'join' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put(alice, bob, { membership: 'wizard' })).toEqual([400, 'M_BAD_JSON'])
    expect(
      await answerOf(alice, 'PUT', path`/rooms/${room}/state/m.room.member/${'bob'}`, { membership: 'ban' }),
    ).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('cannot carry an authorisation of their own making', async () => {
    const closed = await alice.createRoom()
    const content = { membership: 'join', join_authorised_via_users_server: alice.userId }
    expect(await answerOf(bob, 'PUT', path`/rooms/${closed}/state/m.room.member/${bob.userId}`, content)).toEqual(
      forbidden,
    )
  })
})
