import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { at, objectsAt, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: string

beforeAll(async () => {
  // The settings as they are without any of the operator's.
  server = await startTestServer({ settings: { sharing: { receipts: undefined, typing: undefined } } })
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
})

const ephemeral = async (person: Person, type: string, since?: string) =>
  objectsAt(
    await person.sync(since === undefined ? {} : { since }),
    'rooms', 'join', room, 'ephemeral', 'events',
  ).filter(event => event.type === type) // prettier-ignore
const kinds = async (userId: string) => {
  const { rows } = await server.ctx.db.pool.query<{ receipt_type: string }>(
    `SELECT receipt_type FROM receipts JOIN users USING (user_number) JOIN rooms USING (room_number)
     WHERE user_id = $1 AND room_id = $2 ORDER BY 1`,
    [userId, room],
  )
  return rows.map(row => row.receipt_type)
}

describe('promise 21: receipts, typing and presence are not shown or written unless you ask', () => {
  it('keeps every receipt from others, and keeps the reader’s own count', async () => {
    const since = await alice.now()
    const eventId = await alice.send(room, 'hello')
    const unread = await bob.sync()
    expect(at(unread, 'rooms', 'join', room, 'unread_notifications', 'notification_count')).toBe(1)
    await bob.acknowledge(room, eventId)
    expect(await ephemeral(alice, 'm.receipt')).toEqual([])
    expect(await ephemeral(alice, 'm.receipt', since)).toEqual([])
    expect(await ephemeral(bob, 'm.receipt')).toEqual([
      { type: 'm.receipt', content: { [eventId]: { 'm.read.private': { [bob.userId]: { ts: expect.any(Number) } } } } },
    ])
    const read = await bob.sync()
    expect(at(read, 'rooms', 'join', room, 'unread_notifications', 'notification_count')).toBe(0)
    expect(await kinds(bob.userId)).toEqual(['m.read.private'])
  })

  it('makes one of a public and a private receipt: the farther', async () => {
    const [first, second] = [await alice.send(room, 'one'), await alice.send(room, 'two')]
    await bob.post(path`/rooms/${room}/read_markers`, { 'm.read': second, 'm.read.private': first })
    const [event] = await ephemeral(bob, 'm.receipt')
    expect(Object.keys(event?.['content'] ?? {})).toEqual([second])
    expect(await kinds(bob.userId)).toEqual(['m.read.private'])
  })

  it('tells nobody who is typing, and still refuses those who may not', async () => {
    const since = await alice.now()
    await bob.put(path`/rooms/${room}/typing/${bob.userId}`, { typing: true, timeout: 30_000 })
    expect(await ephemeral(alice, 'm.typing')).toEqual([])
    expect(await ephemeral(alice, 'm.typing', since)).toEqual([])
    const stranger = await register(server)
    const refused = await stranger.request('PUT', path`/rooms/${room}/typing/${stranger.userId}`, { typing: true })
    expect(refused.status).toBe(403)
  })

  it('tells nobody who is online', async () => {
    await bob.get('/sync', { timeout: 0, set_presence: 'online' })
    expect(objectsAt(await alice.sync(), 'presence', 'events')).toEqual([])
    const asked = await alice.request('GET', path`/presence/${bob.userId}/status`)
    expect(asked.json).not.toHaveProperty('presence')
    const { rows } = await server.ctx.db.pool.query<{ name: string }>(
      `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name || column_name ~ 'presence|online|active_ts'`,
    )
    expect(rows).toEqual([])
  })

  it('shares receipts and typing where the operator says so', async () => {
    const open = await startTestServer({ settings: { sharing: { receipts: true, typing: true } } })
    try {
      const [dora, emil] = [await register(open), await register(open)]
      const theirs = await dora.createRoom({ preset: 'public_chat' })
      await emil.join(theirs)
      const eventId = await dora.send(theirs, 'hello')
      await emil.acknowledge(theirs, eventId)
      await emil.put(path`/rooms/${theirs}/typing/${emil.userId}`, { typing: true, timeout: 30_000 })
      const events = objectsAt(await dora.sync(), 'rooms', 'join', theirs, 'ephemeral', 'events')
      expect(events).toContainEqual({
        type: 'm.receipt',
        content: { [eventId]: { 'm.read': { [emil.userId]: { ts: expect.any(Number) } } } },
      })
      expect(events).toContainEqual({ type: 'm.typing', content: { user_ids: [emil.userId] } })
    } finally {
      await open.close()
    }
  })
})
