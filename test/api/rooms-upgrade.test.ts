import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, path, type Person, register, text } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
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

async function upgrade(person: Person, room: string, version: string, more: JsonObject = {}): Promise<string> {
  return text(await person.post(path`/rooms/${room}/upgrade`, { new_version: version, ...more }), 'replacement_room')
}

describe('upgrading a room', () => {
  it('takes its state along and closes it', async () => {
    const old = await alice.createRoom({
      preset: 'public_chat',
      room_version: '10',
      room_alias_name: 'moving',
      visibility: 'public',
      name: 'Name',
      topic: 'Topic',
      creation_content: { type: 'm.space', 'm.federate': false },
      initial_state: [
        { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'm.room.server_acl', content: { allow: ['*'], deny: ['bad.test'] } },
        { type: 'm.room.retention', content: { max_lifetime: 86_400_000 } },
        { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
        { type: 'm.space.child', state_key: '!child:lethe.test', content: { via: ['lethe.test'] } },
        { type: 'm.space.child', state_key: '!gone:lethe.test', content: {} },
        { type: 'org.example', content: { stays: true } },
      ],
    })
    await bob.join(old)
    await alice.ban(old, carol.userId, 'spam')
    const last = await alice.send(old, 'the last word')
    const fresh = await upgrade(alice, old, '11')

    expect(await alice.state(fresh, 'm.room.create')).toEqual({
      room_version: '11',
      type: 'm.space',
      'm.federate': false,
      predecessor: { room_id: old, event_id: last },
    })
    for (const type of [
      'm.room.name',
      'm.room.topic',
      'm.room.encryption',
      'm.room.server_acl',
      'm.room.retention',
      'm.room.history_visibility',
      'm.room.join_rules',
      'm.room.guest_access',
      'm.room.canonical_alias',
    ]) {
      expect([type, await alice.state(fresh, type)]).toEqual([type, await alice.state(old, type)])
    }
    expect(await alice.state(fresh, 'm.space.child', '!child:lethe.test')).toEqual({ via: ['lethe.test'] })
    expect(await answerOf(alice, 'GET', path`/rooms/${fresh}/state/m.space.child/${'!gone:lethe.test'}`)).toEqual([
      404,
      'M_NOT_FOUND',
    ])
    expect(await answerOf(alice, 'GET', path`/rooms/${fresh}/state/org.example/`)).toEqual([404, 'M_NOT_FOUND'])
    expect(await alice.state(fresh, 'm.room.member', carol.userId)).toEqual({ membership: 'ban', reason: 'spam' })
    expect(await answerOf(alice, 'GET', path`/rooms/${fresh}/state/m.room.member/${bob.userId}`)).toEqual([
      404,
      'M_NOT_FOUND',
    ])

    expect(await alice.state(old, 'm.room.tombstone')).toEqual({
      body: 'This room has been replaced',
      replacement_room: fresh,
    })
    expect(await alice.state(old, 'm.room.power_levels')).toMatchObject({ events_default: 50, invite: 50 })
    expect(await alice.state(fresh, 'm.room.power_levels')).toMatchObject({
      users: { [alice.userId]: 100 },
      events_default: 0,
      invite: 50,
    })
    expect(await answerOf(bob, 'PUT', path`/rooms/${old}/send/m.room.message/1`, {})).toEqual([403, 'M_FORBIDDEN'])

    expect(await alice.get(path`/directory/room/${'#moving:lethe.test'}`)).toMatchObject({ room_id: fresh })
    expect(await alice.get(path`/rooms/${old}/aliases`)).toEqual({ aliases: [] })
    expect(await alice.get(path`/directory/list/room/${fresh}`)).toEqual({ visibility: 'public' })
    expect(await alice.get(path`/directory/list/room/${old}`)).toEqual({ visibility: 'private' })
    expect(await bob.join(fresh)).toBe(fresh)
  })

  it('is for those who may send a tombstone, to a version that there is', async () => {
    const old = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(old)
    const target = path`/rooms/${old}/upgrade`
    expect(await answerOf(bob, 'POST', target, { new_version: '12' })).toEqual([403, 'M_FORBIDDEN'])
    expect(await answerOf(carol, 'POST', target, { new_version: '12' })).toEqual([403, 'M_FORBIDDEN'])
    expect(await answerOf(carol, 'POST', path`/rooms/${'!unknown:lethe.test'}/upgrade`, { new_version: '12' })).toEqual(
      [403, 'M_FORBIDDEN'],
    )
    expect(await answerOf(alice, 'POST', target, { new_version: 'ancient' })).toEqual([
      400,
      'M_UNSUPPORTED_ROOM_VERSION',
    ])
    expect(await answerOf(alice, 'POST', target, {})).toEqual([400, 'M_MISSING_PARAM'])
    expect(await answerOf(alice, 'POST', target, { new_version: '12', additional_creators: ['bob'] })).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
  })

  it('to version 12 makes creators of those who are named, and of nobody else', async () => {
    const old = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    await bob.join(old)
    await alice.setState(old, 'm.room.power_levels', {
      users: { [alice.userId]: 100, [bob.userId]: 100, [carol.userId]: 50 },
      events: { 'm.room.tombstone': 100 },
    })
    const fresh = await upgrade(bob, old, '12', { additional_creators: [alice.userId] })
    expect(await bob.state(fresh, 'm.room.create')).toEqual({
      room_version: '12',
      predecessor: { room_id: old },
      additional_creators: [alice.userId],
    })
    expect(await bob.state(fresh, 'm.room.power_levels')).toMatchObject({
      users: { [carol.userId]: 50 },
      events: { 'm.room.tombstone': 150 },
    })
    const plain = await upgrade(bob, fresh, '12')
    expect(await bob.state(plain, 'm.room.create')).toEqual({ room_version: '12', predecessor: { room_id: fresh } })
  })

  it('back from version 12 leaves the creators with the most power', async () => {
    const old = await alice.createRoom({ preset: 'public_chat', room_version: '12' })
    const fresh = await upgrade(alice, old, '11')
    expect(await alice.state(fresh, 'm.room.power_levels')).toMatchObject({ users: { [alice.userId]: 150 } })
  })

  it('takes from whoever did it the power that it took', async () => {
    const old = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    await bob.join(old)
    await alice.setState(old, 'm.room.power_levels', {
      users: { [alice.userId]: 100, [bob.userId]: 50 },
      events: { 'm.room.tombstone': 50, 'm.room.power_levels': 100, 'm.room.server_acl': 100 },
    })
    const fresh = await upgrade(bob, old, '11')
    expect(await bob.state(fresh, 'm.room.power_levels')).toMatchObject({
      users: { [alice.userId]: 100, [bob.userId]: 50 },
    })
    // He may close the room and may not change its power levels.
    expect(await bob.state(old, 'm.room.power_levels')).not.toHaveProperty('events_default')
  })

  it('opens no room that a version without its join rule would close for good', async () => {
    const old = await alice.createRoom({
      room_version: '10',
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock_restricted', allow: [] } }],
    })
    const fresh = await upgrade(alice, old, '6')
    expect(await alice.state(fresh, 'm.room.join_rules')).toEqual({ join_rule: 'invite' })
  })

  it('asked for twice at once makes one room', async () => {
    const old = await alice.createRoom({ preset: 'public_chat' })
    const [one, other] = await Promise.all([upgrade(alice, old, '12'), upgrade(alice, old, '12')])
    expect(one).toBe(other)
  })
})

describe('what members set for themselves', () => {
  async function settings(person: Person, room: string) {
    const rules = await person.get('/pushrules/')
    const rule = (at(rules, 'global', 'room') as JsonObject[]).find(each => each['rule_id'] === room)
    const tags = await person.get(path`/user/${person.userId}/rooms/${room}/tags`)
    const direct = await person.get(path`/user/${person.userId}/account_data/m.direct`)
    return { actions: rule?.['actions'], tags: tags['tags'], direct: Object.values(direct).flat().includes(room) }
  }

  async function prepare(person: Person, room: string) {
    await person.put(path`/pushrules/global/room/${room}`, { actions: ['notify'] })
    await person.put(path`/user/${person.userId}/rooms/${room}/tags/m.favourite`, { order: 0.5 })
    await person.put(path`/user/${person.userId}/account_data/m.direct`, { '@x:lethe.test': [room] })
  }

  it('is carried over when they join the new room', async () => {
    const old = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    await bob.join(old)
    await prepare(alice, old)
    await prepare(bob, old)
    const fresh = await upgrade(alice, old, '11')
    await bob.join(fresh)
    const carried = { actions: ['notify'], tags: { 'm.favourite': { order: 0.5 } }, direct: true }
    expect(await settings(alice, fresh)).toEqual(carried)
    expect(await settings(bob, fresh)).toEqual(carried)
    expect(await settings(bob, old)).toEqual(carried)
  })

  it('is carried over to a room that somebody made by hand, and only by those who were in the old one', async () => {
    const old = await alice.createRoom({ preset: 'public_chat' })
    await prepare(alice, old)
    await carol.put(path`/pushrules/global/room/${old}`, { actions: ['notify'] })
    const fresh = await alice.createRoom({
      preset: 'public_chat',
      creation_content: { predecessor: { room_id: old } },
    })
    expect(await settings(alice, fresh)).toMatchObject({ actions: ['notify'] })
    await carol.join(fresh)
    const rules = await carol.get('/pushrules/')
    expect((at(rules, 'global', 'room') as JsonObject[]).map(rule => rule['rule_id'])).not.toContain(fresh)
  })
})
