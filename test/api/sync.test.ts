import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { at, objectsAt, type Person, register, text } from '../harness/people.ts'
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

const bodies = (sync: Awaited<ReturnType<Person['sync']>>, room: string) =>
  objectsAt(sync, 'rooms', 'join', room, 'timeline', 'events').flatMap(event => at(event, 'content', 'body') ?? [])

describe('/sync', () => {
  it('begins with the rooms of the user, their newest messages and their state', async () => {
    const room = await alice.createRoom({ preset: 'public_chat', name: 'Lounge' })
    await alice.send(room, 'hello')
    const first = await alice.sync()
    expect(bodies(first, room)).toEqual(['hello'])
    expect(at(first, 'rooms', 'join', room, 'summary', 'm.joined_member_count')).toBe(1)
    const then = await alice.sync({ since: text(first, 'next_batch') })
    expect(at(then, 'rooms')).toBeUndefined()
  })

  it('tells of what is said after the token, once', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const since = await bob.now()
    await alice.send(room, 'one')
    await alice.send(room, 'two')
    const next = await bob.sync({ since })
    expect(bodies(next, room)).toEqual(['one', 'two'])
    expect(at(next, 'rooms', 'join', room, 'timeline', 'limited')).toBe(false)
    expect(bodies(await bob.sync({ since: text(next, 'next_batch') }), room)).toEqual([])
  })

  it('wakes a client that waits', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const since = await bob.now()
    const waiting = bob.sync({ since, timeout: 30_000 })
    await alice.send(room, 'wake up')
    expect(bodies(await waiting, room)).toEqual(['wake up'])
  })
})
