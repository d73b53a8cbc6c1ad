import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { path, type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const generous = { per_second: 1_000, burst: 1_000 }
let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  server = await startTestServer({
    settings: {
      rate_limits: {
        enabled: true,
        registration: generous,
        anonymous: generous,
        join: generous,
        invite_issuer: generous,
        invite_room: { per_second: 0.1, burst: 3 },
        invite_user: { per_second: 0.1, burst: 4 },
        join_room: { per_second: 0.1, burst: 2 },
        message: { per_second: 1, burst: 2 },
        create_room: { per_second: 0.1, burst: 6 },
      },
    },
  })
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())

const tooMany = [429, 'M_LIMIT_EXCEEDED']
const invite = (room: string, userId: string) =>
  answerOf(alice, 'POST', path`/rooms/${room}/invite`, { user_id: userId })

describe('limits', () => {
  it('hold invitations back by room and by the user who is invited', async () => {
    const room = await alice.createRoom()
    for (const name of ['a', 'b', 'c']) expect(await invite(room, `@${name}:lethe.test`)).toEqual([200, null])
    expect(await invite(room, '@d:lethe.test')).toEqual(tooMany)
    await server.clock.advance(10_000)
    expect(await invite(room, '@d:lethe.test')).toEqual([200, null])

    const another = await alice.createRoom()
    await alice.createRoom({ invite: ['@e:lethe.test'] })
    for (let count = 0; count < 3; count++) expect(await invite(another, '@e:lethe.test')).toEqual([200, null])
    await server.clock.advance(9_000)
    expect(await invite(room, '@e:lethe.test')).toEqual(tooMany)
    expect(await answerOf(alice, 'POST', '/createRoom', { invite: ['@e:lethe.test'] })).toEqual(tooMany)
    await server.clock.advance(60_000)
  })

  it('hold joins of one room back, but not those of members', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    for (let count = 0; count < 5; count++) await bob.join(room)
    await bob.leave(room)
    await bob.join(room)
    await bob.leave(room)
    expect(await answerOf(bob, 'POST', path`/join/${room}`, {})).toEqual(tooMany)
  })

  it('hold messages and new rooms back by user, and say for how long', async () => {
    const room = await alice.createRoom()
    await alice.send(room, '1')
    await alice.send(room, '2')
    const done = await alice.request('PUT', path`/rooms/${room}/send/m.room.message/3`, {})
    expect([done.status, done.json]).toEqual([
      429,
      { errcode: 'M_LIMIT_EXCEEDED', error: expect.any(String) as unknown, retry_after_ms: 1_000 },
    ])
    await server.clock.advance(1_000)
    await alice.send(room, '3')
  })
})
