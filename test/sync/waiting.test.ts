import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let room: string
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
  room = await alice.createRoom({ preset: 'public_chat' })
})
afterAll(() => server.close())

const bodies = (sync: JsonObject) =>
  objectsAt(sync, 'rooms', 'join', room, 'timeline', 'events').map(event => at(event, 'content', 'body'))

/** A sync over a connection of its own: the harness has fewer than wait here, and knows a person at one address. */
async function syncElsewhere(at: TestServer, person: Person, since: string, timeout: number): Promise<JsonObject> {
  const headers = { Authorization: `Bearer ${person.accessToken}` }
  const query = new URLSearchParams({ since, timeout: String(timeout) })
  const answer = await fetch(`${at.url}/_matrix/client/v3/sync?${query}`, { headers })
  return (await answer.json()) as JsonObject // An answer to /sync is an object.
}

describe('many who wait', () => {
  it('are all told of one message', async () => {
    const people = await Promise.all(Array.from({ length: 12 }, () => register(server)))
    for (const person of people) await person.join(room)
    // Several connections each, so that more wait than go on in one turn of the event loop.
    const waiting: Promise<JsonObject>[] = []
    for (const person of people) {
      const since = await person.now()
      for (let index = 0; index < 12; index++) waiting.push(syncElsewhere(server, person, since, 60_000))
    }
    await alice.send(room, 'all of you')
    const answers = await Promise.all(waiting)
    expect(answers.map(bodies)).toEqual(waiting.map(() => ['all of you']))
  }, 30_000)

  it('lose nothing to messages that come one after another', async () => {
    const person = await register(server)
    await person.join(room)
    let since = await person.now()
    const sending = (async () => {
      for (let index = 0; index < 40; index++) await alice.send(room, `n${index}`)
    })()
    const heard: unknown[] = []
    while (heard.length < 40) {
      const sync = await person.sync({ since, timeout: 60_000, filter: '{"room":{"timeline":{"limit":50}}}' })
      heard.push(...bodies(sync))
      since = text(sync, 'next_batch')
    }
    await sending
    expect(heard).toEqual(Array.from({ length: 40 }, (_, index) => `n${index}`))
  })

  it('are not woken by what is no business of theirs', async () => {
    const person = await register(server)
    const since = await person.now()
    let isDone = false
    const waiting = person.sync({ since, timeout: 60_000 }).finally(() => (isDone = true))
    const other = await alice.createRoom({ preset: 'public_chat' })
    await alice.send(other, 'elsewhere')
    await alice.put(path`/user/${alice.userId}/account_data/com.example.x`, { n: 1 })
    expect(isDone).toBe(false)
    await alice.invite(other, person.userId)
    expect(at(await waiting, 'rooms', 'invite', other)).toBeDefined()
  })

  it('are answered when the server drains', async () => {
    const draining = await startTestServer()
    const person = await register(draining)
    const since = await person.now()
    const waiting = person.request('GET', '/sync', undefined, { query: { since, timeout: 60_000 } })
    await person.get('/account/whoami')
    await draining.close()
    expect((await waiting).status).toBe(200)
  })
})

describe('a token from before the tail', () => {
  it('is answered from the database after a restart', async () => {
    const first = await startTestServer()
    const [anna, ben] = [await register(first), await register(first)]
    const there = await anna.createRoom({ preset: 'public_chat' })
    await ben.join(there)
    const since = await ben.now()
    await anna.send(there, 'before the restart')
    const again = await first.restart()
    try {
      const sync = await syncElsewhere(again, ben, since, 0)
      const events = objectsAt(sync, 'rooms', 'join', there, 'timeline', 'events')
      expect(events.map(event => at(event, 'content', 'body'))).toEqual(['before the restart'])
    } finally {
      await again.close()
    }
  }, 30_000)
})
