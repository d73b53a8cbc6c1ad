import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type RoomId } from '../../src/protocol/identifiers.ts'
import { announceTyping, onTyping, typingIn } from '../../src/rooms/typing.ts'
import { path, type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: RoomId
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  // The server's own room IDs are room IDs.
  room = (await alice.createRoom({ preset: 'public_chat' })) as RoomId
  await bob.join(room)
})

const type = (person: Person, timeout?: number) =>
  person.put(path`/rooms/${room}/typing/${person.userId}`, {
    typing: true,
    ...(timeout === undefined ? {} : { timeout }),
  })
const typing = () => typingIn(server.ctx, room).userIds

describe('typing', () => {
  it('lasts as long as it is said to, and ends when it is taken back', async () => {
    await type(alice, 10_000)
    await type(bob, 20_000)
    expect(typing()).toEqual([alice.userId, bob.userId])
    await server.clock.advance(9_999)
    expect(typing()).toEqual([alice.userId, bob.userId])
    await server.clock.advance(1)
    expect(typing()).toEqual([bob.userId])
    await bob.put(path`/rooms/${room}/typing/${bob.userId}`, { typing: false })
    expect(typing()).toEqual([])
  })

  it('goes on when it is said again', async () => {
    await type(alice, 10_000)
    await server.clock.advance(9_000)
    await type(alice, 10_000)
    await server.clock.advance(9_000)
    expect(typing()).toEqual([alice.userId])
  })

  it('lasts thirty seconds unless something is said, and two minutes at most', async () => {
    await type(alice)
    await type(bob, 10_000_000)
    await server.clock.advance(30_000)
    expect(typing()).toEqual([bob.userId])
    await server.clock.advance(90_000)
    expect(typing()).toEqual([])
  })

  it('ends when the user leaves', async () => {
    await type(bob)
    await bob.leave(room)
    expect(typing()).toEqual([])
  })

  it('is told once for each change, under a growing serial', async () => {
    const told: RoomId[] = []
    const before = typingIn(server.ctx, room).serial
    const stop = onTyping(server.ctx, changed => told.push(changed))
    await type(alice)
    const first = typingIn(server.ctx, room).serial
    await type(alice)
    expect(typingIn(server.ctx, room).serial).toBe(first)
    await server.clock.advance(30_000)
    stop()
    expect(told).toEqual([room, room])
    expect(first).toBeGreaterThan(before)
    expect(typingIn(server.ctx, room).serial).toBeGreaterThan(first)
  })

  it('is for members and in one’s own name', async () => {
    const closed = await alice.createRoom()
    const put = (person: Person, where: string, who: string) =>
      answerOf(person, 'PUT', path`/rooms/${where}/typing/${who}`, { typing: true })
    expect(await put(bob, closed, bob.userId)).toEqual([403, 'M_FORBIDDEN'])
    expect(await put(bob, '!unknown:lethe.test', bob.userId)).toEqual([403, 'M_FORBIDDEN'])
    expect(await put(bob, room, alice.userId)).toEqual([403, 'M_FORBIDDEN'])
    expect(await answerOf(bob, 'PUT', path`/rooms/${room}/typing/${bob.userId}`, {})).toEqual([400, 'M_MISSING_PARAM'])
  })

  it('is not believed of a message that is none', () => {
    for (const payload of ['nonsense', '[]', '{}', '{"roomId":"x","userId":"y","timeoutMs":1}', 'null']) {
      server.ctx.log.broadcast({ kind: 'typing', payload })
    }
    // The harness gives user IDs as text; those that the server gave out are user IDs.
    announceTyping(server.ctx, room, alice.userId as Parameters<typeof announceTyping>[2], 5_000)
    expect(typing()).toEqual([alice.userId])
  })
})
