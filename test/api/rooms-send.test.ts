import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { path, type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: string
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
const text = (body: string): JsonObject => ({ msgtype: 'm.text', body })

describe('sending', () => {
  it('gives the event an ID and keeps it', async () => {
    const eventId = await alice.send(room, 'hello')
    expect(await alice.event(room, eventId)).toMatchObject({
      event_id: eventId,
      type: 'm.room.message',
      sender: alice.userId,
      content: { body: 'hello' },
    })
  })

  it('is for members: the same is said of a closed room and of an unknown one', async () => {
    const send = async (where: string) => {
      const done = await bob.request(
        'PUT',
        path`/rooms/${where}/send/m.room.message/${bob.nextTransactionId()}`,
        text('x'),
      )
      return [done.status, done.json]
    }
    const refusal = await send(room)
    expect(refusal).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    expect(await send('!unknown:lethe.test')).toEqual(refusal)
    await bob.join(room)
    await bob.send(room, 'now')
    await bob.leave(room)
    expect(await send(room)).toEqual(refusal)
  })

  it('needs the level that the room asks for', async () => {
    await alice.setState(room, 'm.room.power_levels', { events: { 'm.room.message': 1 } })
    await bob.join(room)
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/send/m.room.message/1`, text('x'))).toEqual(forbidden)
    await bob.send(room, {}, 'm.reaction')
  })

  it('refuses what events cannot hold', async () => {
    const put = async (body: string) => {
      const done = await alice.request(
        'PUT',
        path`/rooms/${room}/send/m.x/${alice.nextTransactionId()}`,
        Buffer.from(body),
      )
      return [done.status, (done.json as JsonObject)['errcode']]
    }
    expect(await put('{"body": 9007199254740992}')).toEqual([400, 'M_BAD_JSON'])
    expect(await put('{"body": 1.1}')).toEqual([400, 'M_BAD_JSON'])
    expect(await put('{"body": NaN}')).toEqual([400, 'M_NOT_JSON'])
    expect(await put('[]')).toEqual([400, 'M_BAD_JSON'])
    expect(await put(`{"body": "${'x'.repeat(70_000)}"}`)).toEqual([413, 'M_TOO_LARGE'])
    expect(await answerOf(alice, 'PUT', path`/rooms/${room}/send/${'t'.repeat(256)}/1`, {})).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
  })

  it('gives an ID of its own to each of many messages at once', async () => {
    await bob.join(room)
    const sent = await Promise.all(
      Array.from({ length: 200 }, (_, index) => (index % 2 ? alice : bob).send(room, `message ${index}`)),
    )
    expect(new Set(sent).size).toBe(200)
  })
})

describe('a transaction ID', () => {
  it('gives the same event again, one after the other and at the same time', async () => {
    const first = await alice.send(room, 'once', 'm.room.message', 'a')
    expect(await alice.send(room, 'another text', 'm.room.message', 'a')).toBe(first)
    const together = await Promise.all(
      Array.from({ length: 10 }, () => alice.send(room, 'race', 'm.room.message', 'b')),
    )
    expect(new Set(together).size).toBe(1)
    expect(together[0]).not.toBe(first)
  })

  it('still answers when the user may not send any more', async () => {
    await bob.join(room)
    const sent = await bob.send(room, 'once', 'm.room.message', 'last')
    await alice.kick(room, bob.userId)
    expect(await bob.send(room, 'once', 'm.room.message', 'last')).toBe(sent)
  })

  it('belongs to a device and a path', async () => {
    const other = await alice.createRoom()
    const phone = await alice.login()
    const ids = [
      await alice.send(room, 'x', 'm.room.message', 'c'),
      await alice.send(other, 'x', 'm.room.message', 'c'),
      await alice.send(room, { body: 'x' }, 'm.other', 'c'),
      await phone.send(room, 'x', 'm.room.message', 'c'),
    ]
    expect(new Set(ids).size).toBe(4)
    const again = await alice.login({ device_id: phone.deviceId })
    expect(await again.send(room, 'x', 'm.room.message', 'c')).toBe(ids[3])
  })

  it('is told to the device that used it and to no other', async () => {
    const eventId = await alice.send(room, 'x', 'm.room.message', 'mine')
    const phone = await alice.login()
    expect(await alice.event(room, eventId)).toMatchObject({ unsigned: { transaction_id: 'mine' } })
    expect(await phone.event(room, eventId)).not.toMatchObject({ unsigned: { transaction_id: 'mine' } })
  })
})

describe('relations', () => {
  const react = (person: Person, parent: string, key: string) =>
    answerOf(person, 'PUT', path`/rooms/${room}/send/m.reaction/${person.nextTransactionId()}`, {
      'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key },
    })

  it('refuse the same annotation twice, until the first is redacted', async () => {
    await bob.join(room)
    const parent = await alice.send(room, 'hello')
    const first = await alice.send(
      room,
      { 'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key: '👍' } },
      'm.reaction',
    )
    expect(await react(alice, parent, '👍')).toEqual([400, 'M_DUPLICATE_ANNOTATION'])
    expect(await react(alice, parent, '👎')).toEqual([200, null])
    expect(await react(bob, parent, '👍')).toEqual([200, null])
    await alice.redact(room, first)
    expect(await react(alice, parent, '👍')).toEqual([200, null])
  })

  it('take one of two annotations that are the same and come at once', async () => {
    const parent = await alice.send(room, 'hello')
    const answers = await Promise.all(['👍', '👍', '👎', '👍'].map(key => react(alice, parent, key)))
    const refused = [400, 'M_DUPLICATE_ANNOTATION']
    expect(answers.toSorted()).toEqual([[200, null], [200, null], refused, refused])
    expect(answers[2]).toEqual([200, null])
  })

  it('stay within a room', async () => {
    const elsewhere = await alice.send(await alice.createRoom(), 'hello')
    expect(await react(alice, elsewhere, '👍')).toEqual([400, 'M_INVALID_PARAM'])
    expect(await react(alice, '$unknown', '👍')).toEqual([200, null])
  })

  it('make no thread out of a thread', async () => {
    const root = await alice.send(room, 'root')
    const inThread = (parent: string) => ({ ...text('x'), 'm.relates_to': { rel_type: 'm.thread', event_id: parent } })
    const reply = await alice.send(room, inThread(root))
    expect(await answerOf(alice, 'PUT', path`/rooms/${room}/send/m.room.message/nested`, inThread(reply))).toEqual([
      400,
      'M_UNKNOWN',
    ])
  })
})

describe.each(['2', '10', '11', '12'])('redacting in a room of version %s', version => {
  beforeEach(async () => {
    room = await alice.createRoom({ preset: 'public_chat', room_version: version })
    await bob.join(room)
  })

  it('prunes one’s own event, with a reason', async () => {
    const eventId = await bob.send(room, 'oops')
    const redaction = await bob.redact(room, eventId, 'private')
    expect(await alice.event(room, eventId)).toMatchObject({
      content: {},
      unsigned: { redacted_because: { event_id: redaction, content: { reason: 'private' } } },
    })
    expect(await alice.event(room, redaction)).toMatchObject({ redacts: eventId, content: { redacts: eventId } })
  })

  it('takes the redact level for the events of others', async () => {
    const mine = await alice.send(room, 'mine')
    const theirs = await bob.send(room, 'theirs')
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/redact/${mine}/1`, {})).toEqual(forbidden)
    expect(await answerOf(alice, 'PUT', path`/rooms/${room}/redact/${theirs}/1`, {})).toEqual([200, null])
    expect(await bob.event(room, theirs)).toMatchObject({ content: {} })
    expect(await bob.event(room, mine)).toMatchObject({ content: { body: 'mine' } })
  })

  it('can be sent as an event', async () => {
    const eventId = await bob.send(room, 'oops')
    const redaction = await bob.send(room, { redacts: eventId, reason: 'r' }, 'm.room.redaction', 'txn')
    expect(await bob.send(room, { redacts: eventId }, 'm.room.redaction', 'txn')).toBe(redaction)
    expect(await alice.event(room, eventId)).toMatchObject({ content: {} })
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/send/m.room.redaction/1`, { redacts: 5 })).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
  })

  it('empties state, but neither the create event nor the server list', async () => {
    const topic = await alice.setState(room, 'm.room.topic', { topic: 'secret' })
    await alice.redact(room, topic)
    expect(await alice.state(room, 'm.room.topic')).toEqual({})
    const create = await alice.get(path`/rooms/${room}/state/m.room.create/`, { format: 'event' })
    expect(await answerOf(alice, 'PUT', path`/rooms/${room}/redact/${String(create['event_id'])}/2`, {})).toEqual(
      forbidden,
    )
    const acl = await alice.setState(room, 'm.room.server_acl', { allow: ['*'] })
    expect(await answerOf(alice, 'PUT', path`/rooms/${room}/redact/${acl}/3`, {})).toEqual(forbidden)
  })
})

describe('redacting', () => {
  it('may be done twice, and of an event that is not known', async () => {
    const eventId = await alice.send(room, 'oops')
    expect(await alice.redact(room, eventId)).not.toBe(await alice.redact(room, eventId))
    expect(await alice.redact(room, '$neverSeen')).toMatch(/^\$/)
  })

  it('does nothing to an event of another room', async () => {
    const elsewhere = await alice.createRoom()
    const eventId = await alice.send(elsewhere, 'stays')
    await alice.redact(room, eventId)
    expect(await alice.event(elsewhere, eventId)).toMatchObject({ content: { body: 'stays' } })
  })

  it('gives the same answer to the same transaction ID', async () => {
    const eventId = await alice.send(room, 'oops')
    const first = await alice.put(path`/rooms/${room}/redact/${eventId}/t`)
    expect(await alice.put(path`/rooms/${room}/redact/${eventId}/t`)).toEqual(first)
  })

  it('is for members', async () => {
    const eventId = await alice.send(room, 'x')
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/redact/${eventId}/1`, {})).toEqual(forbidden)
  })
})

describe('a suspended user', () => {
  it('may leave and redact what they sent, and nothing else', async () => {
    const dora = await register(server)
    await dora.join(room)
    const eventId = await dora.send(room, 'oops')
    const door = await alice.createRoom({
      invite: [dora.userId],
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    })
    await server.ctx.log.transact(async (tx, announce) => {
      const userNumber = await server.ctx.numbers.user(dora.userId as Parameters<typeof server.ctx.numbers.user>[0])
      await tx.updateTable('accounts').set({ is_suspended: true }).where('user_number', '=', userNumber).execute()
      announce({ kind: 'session', userId: dora.userId as Parameters<typeof server.ctx.numbers.user>[0] })
    })
    const suspended = [403, 'M_USER_SUSPENDED']
    const refused: [string, string, JsonObject][] = [
      ['PUT', path`/rooms/${room}/send/m.room.message/1`, text('x')],
      ['PUT', path`/rooms/${room}/state/m.x/`, {}],
      ['PUT', path`/rooms/${room}/redact/${await alice.send(room, 'x')}/1`, {}],
      ['PUT', path`/rooms/${room}/typing/${dora.userId}`, { typing: true }],
      ['POST', path`/rooms/${room}/invite`, { user_id: bob.userId }],
      ['POST', path`/join/${await alice.createRoom({ preset: 'public_chat' })}`, {}],
      ['POST', path`/knock/${door}`, {}],
      ['POST', '/createRoom', {}],
    ]
    for (const [method, target, body] of refused) {
      expect([target, await answerOf(dora, method, target, body)]).toEqual([target, suspended])
    }
    await dora.redact(room, eventId)
    await dora.leave(room)
    await dora.leave(door)
  })
})
