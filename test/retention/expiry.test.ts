import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { append } from '../../src/rooms/append.ts'
import { type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'

const hour = 3_600_000

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  // No loops: nothing is swept unless a test says so.
  server = await startTestServer({ loops: [], settings: plainly })
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())

const related = (rel_type: string, event_id: string, more: JsonObject = {}): JsonObject => ({
  msgtype: 'm.text',
  'm.relates_to': { rel_type, event_id },
  ...more,
})

/** A room whose messages live an hour, with messages of every kind in it. */
async function populatedRoom(name: string) {
  const room = await alice.createRoom({ preset: 'public_chat', name })
  await bob.join(room)
  await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
  const since = await bob.now()
  const root = await alice.send(room, `${name} root`)
  const reply = await alice.send(room, related('m.thread', root, { body: `${name} reply` }))
  const edit = await alice.send(
    room,
    related('m.replace', root, {
      body: `${name} edit`,
      'm.new_content': { msgtype: 'm.text', body: `${name} edited` },
    }),
  )
  const reference = await alice.send(room, related('m.reference', root, { body: `${name} reference` }))
  const reaction = await bob.send(room, { 'm.relates_to': { rel_type: 'm.annotation', event_id: root, key: `${name} key` } }, 'm.reaction') // prettier-ignore
  const redacted = await alice.send(room, `${name} redacted`)
  const redaction = await alice.redact(room, redacted, `${name} reason`)
  const topic = await alice.setState(room, 'm.room.topic', { topic: 'old' })
  const topicRedaction = await alice.redact(room, topic, `${name} topic reason`)
  const last = await alice.send(room, `hey ${bob.userId} ${name} last`)
  await bob.acknowledge(room, reply, 'm.read.private')
  await bob.acknowledge(room, root, 'm.fully_read')
  const messages = { root, reply, edit, reference, reaction, redacted, redaction, topicRedaction, last }
  return { room, since, topic, messages }
}

/** Everything that a member can read of a room, as text. */
async function everythingReadable(person: Person, room: string, since: string, topic: string): Promise<string> {
  const answers = [
    await person.messages(room),
    await person.messages(room, { dir: 'f', limit: 100 }),
    await person.get(path`/rooms/${room}/context/${topic}`, { limit: 100 }),
    await person.event(room, topic),
    (await person.request('GET', path`/rooms/${room}/state`)).json ?? null,
    await person.get(path`/rooms/${room}/members`),
    await person.expect('GET', `/_matrix/client/v1${path`/rooms/${room}/threads`}`),
    await person.expect('GET', `/_matrix/client/v1${path`/rooms/${room}/relations/${topic}`}`),
    await person.sync(),
    await person.sync({ full_state: true }),
    await person.sync({ since }),
    await person.sync({ since, full_state: true }),
  ]
  return JSON.stringify(answers)
}

describe('a message at the end of its lifetime, unswept', () => {
  it('is readable up to the last millisecond and gone from every read path at the next', async () => {
    const { room, since, topic, messages } = await populatedRoom('apple')
    await server.clock.advance(hour)
    const before = await everythingReadable(bob, room, since, topic)
    for (const word of ['root', 'reply', 'edited', 'reference', 'key', 'reason', 'topic reason', 'last'])
      expect([word, before.includes(`apple ${word}`)]).toEqual([word, true])

    await server.clock.advance(1)
    const after = await everythingReadable(bob, room, since, topic)
    expect(after.match(/apple \w+/g)).toBeNull()
    for (const [name, eventId] of Object.entries(messages)) {
      const one = await bob.request('GET', path`/rooms/${room}/event/${eventId}`)
      const context = await bob.request('GET', path`/rooms/${room}/context/${eventId}`)
      const relations = await bob.request('GET', `/_matrix/client/v1${path`/rooms/${room}/relations/${eventId}`}`)
      expect([name, one.status, context.status, relations.status]).toEqual([name, 404, 404, 404])
      const receipt = await bob.request('POST', path`/rooms/${room}/receipt/m.read/${eventId}`, {})
      expect([name, receipt.status]).toEqual([name, 403])
    }
  })

  it('does not count as unread', async () => {
    const { room, since } = await populatedRoom('pear')
    const counts = async (query: JsonObject) => {
      const done = await bob.sync({ ...query } as Record<string, string>)
      return at(done, 'rooms', 'join', room, 'unread_notifications', 'notification_count')
    }
    expect(await counts({})).toBeGreaterThan(0)
    await server.clock.advance(hour + 1)
    expect([await counts({}), await counts({ since })]).toEqual([0, 0])
  })

  it('lives from the earlier of the time it came and the time it is dated', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const dated = async (originServerTs: number) => {
      const draft = {
        sender: alice.userId as UserId,
        type: 'm.room.message',
        content: { body: 'dated' },
        originServerTs,
      }
      const appended = await append(server.ctx, room as RoomId, async open => void (await open.add(draft)))
      return appended.outcome === 'committed' ? (appended.stored[0]?.event.eventId ?? '') : ''
    }
    const status = async (eventId: string) => (await alice.request('GET', path`/rooms/${room}/event/${eventId}`)).status
    const old = await dated(server.clock.now() - hour - 1)
    const future = await dated(server.clock.now() + 24 * hour)
    expect([await status(old), await status(future)]).toEqual([404, 200])
    await server.clock.advance(hour + 1)
    expect(await status(future)).toBe(404)
  })

  it('is gone at once when the lifetime is shortened, and does not come back when it is lengthened after a sweep', async () => {
    const room = await alice.createRoom()
    const event = await alice.send(room, 'plum')
    await alice.send(room, 'later')
    await server.clock.advance(2 * hour)
    expect(text(await alice.event(room, event), 'event_id')).toBe(event)
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    expect((await alice.request('GET', path`/rooms/${room}/event/${event}`)).status).toBe(404)
    await sweep(server.ctx)
    await alice.setState(room, 'm.room.retention', { max_lifetime: 10 * hour })
    expect((await alice.request('GET', path`/rooms/${room}/event/${event}`)).status).toBe(404)
    expect(JSON.stringify(await alice.messages(room))).not.toContain('later')
  })
})

describe('a swept room', () => {
  // The rooms of other tests are done with.
  beforeEach(async () => {
    await server.clock.advance(11 * hour)
    await sweep(server.ctx)
  })

  it('has no row that holds or names what was in it, and all the rest of itself', async () => {
    const { room, since, topic, messages } = await populatedRoom('cherry')
    await server.clock.advance(hour + 1)
    const fresh = await alice.send(room, 'fresh')
    expect(await sweep(server.ctx)).toMatchObject({ events: Object.keys(messages).length })
    expect(await tablesThatHold(server.ctx.db, { body: 'cherry ', ...messages })).toEqual({})
    expect(await tablesThatHold(server.ctx.db, { fresh: 'fresh' })).toEqual({ fresh: ['events'] })

    const readable = await everythingReadable(bob, room, since, topic)
    expect(readable).toContain(fresh)
    expect(readable).toContain('"name":"cherry"')
    expect(readable.match(/cherry \w+/g)).toBeNull()
    expect((await bob.request('GET', path`/user/${bob.userId}/rooms/${room}/account_data/m.fully_read`)).status).toBe(
      404,
    )
  })

  it('keeps of the message that the next one is built on no more than its hash', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const only = await alice.send(room, 'the only plum', 'm.room.message', 'plumtransaction')
    await alice.acknowledge(room, only)
    await server.clock.advance(hour + 1)
    expect(await sweep(server.ctx)).toMatchObject({ events: 1 })
    const canaries = { body: 'only plum', transaction: 'plumtransaction', only }
    expect(await tablesThatHold(server.ctx.db, canaries)).toEqual({ only: ['events'] })
    expect((await alice.request('GET', path`/rooms/${room}/event/${only}`)).status).toBe(404)
    // Dealt with once, and not again at every sweep.
    expect(await sweep(server.ctx)).toMatchObject({ events: 0 })

    const next = await alice.send(room, 'next')
    expect(objectsAt(await alice.messages(room), 'chunk')[0]).toMatchObject({ event_id: next })
    expect(await sweep(server.ctx)).toMatchObject({ events: 1 })
    expect(await tablesThatHold(server.ctx.db, canaries)).toEqual({})
  })

  it('keeps of a redaction that the next one is built on what it redacted, and not why', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const event = await alice.send(room, 'redacted')
    const redaction = await alice.redact(room, event, 'quince')
    await server.clock.advance(hour + 1)
    expect(await sweep(server.ctx)).toMatchObject({ events: 2 })
    // From version 11 on the target is in the part of a redaction that its hash, its name, is made of.
    const held = await tablesThatHold(server.ctx.db, { event, quince: 'quince', redaction })
    expect(held).toEqual({ event: ['events'], redaction: ['events'] })
    const { rows } = await server.ctx.db.pool.query('SELECT FROM events WHERE event_id = $1', [event])
    expect(rows).toEqual([])
  })

  it('leaves nothing that points to a last message which was redacted before', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    const event = await alice.send(room, 'redacted', 'm.room.message', 'quincetransaction')
    await alice.acknowledge(room, event)
    // As if the redaction had come from a server that did not know of what was sent since.
    const pruned = `UPDATE events SET flags = flags | 4 WHERE event_id = $1`
    await server.ctx.db.pool.query(pruned, [event])
    await server.clock.advance(hour + 1)
    expect([await sweep(server.ctx), await sweep(server.ctx)]).toMatchObject([{ events: 1 }, { events: 0 }])
    expect(await tablesThatHold(server.ctx.db, { transaction: 'quincetransaction' })).toEqual({})
    const { rows } = await server.ctx.db.pool.query('SELECT FROM receipts JOIN rooms USING (room_number) WHERE room_id = $1', [room]) // prettier-ignore
    expect(rows).toEqual([])
  })

  it('can be scrolled back to its beginning', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    for (let count = 0; count < 5; count++) await alice.send(room, `grape ${count}`)
    const token = text(await alice.messages(room, { dir: 'b', limit: 2 }), 'end')
    await server.clock.advance(hour + 1)
    await alice.setState(room, 'm.room.topic', { topic: 'after' })
    await sweep(server.ctx)
    for (const start of [token, undefined]) {
      const types: unknown[] = []
      let from: string | undefined = start
      let pages = 0
      do {
        const page = await alice.messages(room, { dir: 'b', limit: 2, from })
        types.push(...objectsAt(page, 'chunk').map(event => event['type']))
        from = typeof page['end'] === 'string' ? page['end'] : undefined
        pages += 1
      } while (from !== undefined && pages < 20)
      expect(types.at(-1)).toBe('m.room.create')
      expect(types).not.toContain('m.room.message')
      expect(pages).toBeLessThan(10)
    }
  })

  it('is told of to those who remember it', async () => {
    const room = await alice.createRoom()
    await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
    await alice.send(room, 'short-lived')
    await server.clock.advance(hour + 1)
    const told: string[] = []
    const stop = server.ctx.log.subscribe(entries => {
      for (const entry of entries) if (entry.kind === 'room') told.push(entry.roomId)
    })
    await sweep(server.ctx)
    stop()
    expect(told).toEqual([room])
  })
})
