import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { type LogEntry } from '../../src/storage/log-entries.ts'
import { objectsAt, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let carol: Person
let room: string
const told: LogEntry[] = []

beforeAll(async () => {
  server = await startTestServer()
  server.ctx.log.subscribe(entries => told.push(...entries))
  alice = await register(server)
  bob = await register(server)
  carol = await register(server)
})
afterAll(() => server.close())

beforeEach(async () => {
  room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  told.length = 0
})

/** What everybody has been told of receipts since the test began: type, thread, event. */
const receipts = () =>
  told.flatMap(entry => (entry.kind === 'receipt' ? [[entry.receiptType, entry.threadId, entry.eventId]] : []))

async function refusal(person: Person, target: string, body: JsonObject | string = {}): Promise<unknown> {
  const done = await person.request('POST', target, body)
  return [done.status, isJsonObject(done.json) ? done.json['errcode'] : null]
}

const receiptPath = (eventId: string, type = 'm.read') => path`/rooms/${room}/receipt/${type}/${eventId}`
const markersPath = () => path`/rooms/${room}/read_markers`
const fullyRead = (person: Person) => person.get(path`/user/${person.userId}/rooms/${room}/account_data/m.fully_read`)
const inThread = (root: string, body = 'in the thread') => ({
  msgtype: 'm.text',
  body,
  'm.relates_to': { rel_type: 'm.thread', event_id: root },
})

describe('a receipt', () => {
  it('says how far its sender has read', async () => {
    const event = await alice.send(room, 'hello')
    await bob.acknowledge(room, event)
    expect(receipts()).toEqual([['m.read', '', event]])
    const [entry] = told.filter(each => each.kind === 'receipt')
    expect(entry).toMatchObject({ userId: bob.userId, roomId: room, readTs: server.clock.now() })
  })

  it('only moves forward', async () => {
    const first = await alice.send(room, 'one')
    const second = await alice.send(room, 'two')
    await bob.acknowledge(room, second)
    await bob.acknowledge(room, first)
    await bob.acknowledge(room, second)
    expect(receipts()).toEqual([['m.read', '', second]])
  })

  it('stays on the farther of two events that are acknowledged at once', async () => {
    const events = [await alice.send(room, 'one'), await alice.send(room, 'two'), await alice.send(room, 'three')]
    await Promise.all([...events, ...events.toReversed()].map(event => bob.acknowledge(room, event)))
    expect(receipts().at(-1)).toEqual(['m.read', '', events[2]])
  })

  it('is kept for each type and each thread', async () => {
    const root = await alice.send(room, 'a thread')
    const reply = await alice.send(room, inThread(root))
    const last = await alice.send(room, 'last')
    await bob.acknowledge(room, last)
    await bob.acknowledge(room, root, 'm.read.private')
    await bob.acknowledge(room, root, 'm.read', 'main')
    await bob.acknowledge(room, reply, 'm.read', root)
    expect(receipts()).toEqual([
      ['m.read', '', last],
      ['m.read.private', '', root],
      ['m.read', 'main', root],
      ['m.read', root, reply],
    ])
  })

  it('is told to the room, and a private one to its sender alone', async () => {
    const event = await alice.send(room, 'hello')
    await bob.acknowledge(room, event, 'm.read.private')
    const seenBy = async (person: Person) =>
      objectsAt(await person.sync(), 'rooms', 'join', room, 'ephemeral', 'events').map(each => each['content'])
    expect(await seenBy(alice)).toEqual([])
    const mine = { [bob.userId]: { ts: server.clock.now() } }
    expect(await seenBy(bob)).toEqual([{ [event]: { 'm.read.private': mine } }])
    await bob.acknowledge(room, event)
    expect(await seenBy(alice)).toEqual([{ [event]: { 'm.read': mine } }])
  })

  it('of an unknown type is refused', async () => {
    const event = await alice.send(room, 'hello')
    expect(await refusal(bob, receiptPath(event, 'm.delivered'))).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('is refused to those who are not in the room, in the same words for a room that does not exist', async () => {
    const event = await alice.send(room, 'hello')
    const outside = await carol.request('POST', receiptPath(event), {})
    expect(outside.status).toBe(403)
    await carol.join(room)
    await carol.leave(room)
    expect((await carol.request('POST', receiptPath(event), {})).json).toEqual(outside.json)
    const nowhere = await carol.request('POST', path`/rooms/!nowhere:lethe.test/receipt/m.read/${event}`, {})
    expect([nowhere.status, nowhere.json]).toEqual([outside.status, outside.json])
    expect(await refusal(carol, markersPath(), { 'm.read': event })).toEqual([403, 'M_FORBIDDEN'])
    expect(receipts()).toEqual([])
  })

  it('is refused for an event that cannot be seen, in the same words whether it exists or not', async () => {
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'joined' })
    const hidden = await alice.send(room, 'before carol came')
    await carol.join(room)
    const other = await alice.createRoom()
    const elsewhere = await alice.send(other, 'elsewhere')
    const answers = await Promise.all(
      [hidden, elsewhere, '$unknown'].map(event => carol.request('POST', receiptPath(event), {})),
    )
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403])
    expect(new Set(answers.map(({ json }) => JSON.stringify(json))).size).toBe(1)
    expect(receipts()).toEqual([])
  })

  it('needs a token', async () => {
    const event = await alice.send(room, 'hello')
    const done = await fetch(new URL(`/_matrix/client/v3${receiptPath(event)}`, server.url), {
      method: 'POST',
      body: '{}',
    })
    expect(done.status).toBe(401)
  })
})

describe('the thread of a receipt', () => {
  it('must be "main" or an event ID', async () => {
    const event = await alice.send(room, 'hello')
    for (const thread_id of ['', 5, null, {}, 'mainly']) {
      expect([thread_id, await refusal(bob, receiptPath(event), { thread_id })]).toEqual([
        thread_id,
        [400, 'M_INVALID_PARAM'],
      ])
    }
    expect(receipts()).toEqual([])
  })

  it('must be the thread that the event is in', async () => {
    const root = await alice.send(room, 'a thread')
    const other = await alice.send(room, 'another thread')
    const reply = await alice.send(room, inThread(root))
    const wrong = [400, 'M_INVALID_PARAM']
    expect(await refusal(bob, receiptPath(reply), { thread_id: 'main' })).toEqual(wrong)
    expect(await refusal(bob, receiptPath(reply), { thread_id: other })).toEqual(wrong)
    expect(await refusal(bob, receiptPath(other), { thread_id: root })).toEqual(wrong)
    expect(await refusal(bob, receiptPath(reply), { thread_id: '$unknown' })).toEqual(wrong)
    await bob.acknowledge(room, reply, 'm.read', root)
  })

  it('is that of the event which a reaction or an edit belongs to', async () => {
    const root = await alice.send(room, 'a thread')
    const reply = await alice.send(room, inThread(root))
    const annotation = (event_id: string, key: string) => ({
      'm.relates_to': { rel_type: 'm.annotation', event_id, key },
    })
    const inside = await alice.send(room, annotation(reply, '+'), 'm.reaction')
    const outside = await alice.send(room, annotation(root, '+'), 'm.reaction')
    expect(await refusal(bob, receiptPath(inside), { thread_id: 'main' })).toEqual([400, 'M_INVALID_PARAM'])
    await bob.acknowledge(room, inside, 'm.read', root)
    await bob.acknowledge(room, outside, 'm.read', 'main')
    expect(receipts()).toEqual([
      ['m.read', root, inside],
      ['m.read', 'main', outside],
    ])
  })

  it('may be that of its own root, which stands at its top', async () => {
    const root = await alice.send(room, 'a thread')
    await alice.send(room, inThread(root))
    await bob.acknowledge(room, root, 'm.read', root)
    expect(receipts()).toEqual([['m.read', root, root]])
  })

  it('cannot be given for the fully read marker', async () => {
    const event = await alice.send(room, 'hello')
    const target = receiptPath(event, 'm.fully_read')
    expect(await refusal(bob, target, { thread_id: 'main' })).toEqual([400, 'M_INVALID_PARAM'])
  })
})

describe('the fully read marker', () => {
  it('is account data of the room, and only moves forward', async () => {
    const first = await alice.send(room, 'one')
    const second = await alice.send(room, 'two')
    await bob.acknowledge(room, first, 'm.fully_read')
    expect(await fullyRead(bob)).toEqual({ event_id: first })
    await bob.post(markersPath(), { 'm.fully_read': second })
    await bob.post(markersPath(), { 'm.fully_read': first })
    expect(await fullyRead(bob)).toEqual({ event_id: second })
    expect(told.filter(({ kind }) => kind === 'account_data')).toHaveLength(2)
    expect(receipts()).toEqual([])
  })

  it('is set together with both kinds of receipts', async () => {
    const first = await alice.send(room, 'one')
    const second = await alice.send(room, 'two')
    await bob.post(markersPath(), { 'm.fully_read': first, 'm.read': first, 'm.read.private': second })
    expect(await fullyRead(bob)).toEqual({ event_id: first })
    expect(receipts()).toEqual([
      ['m.read', '', first],
      ['m.read.private', '', second],
    ])
  })

  it('is not set when one of the receipts beside it is refused', async () => {
    const event = await alice.send(room, 'one')
    expect(await refusal(bob, markersPath(), { 'm.fully_read': event, 'm.read': '$unknown' })).toEqual([
      403,
      'M_FORBIDDEN',
    ])
    expect(await refusal(bob, markersPath(), { 'm.fully_read': 'no event ID' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(told).toEqual(told.filter(({ kind }) => kind === 'event'))
  })

  it('may be left out: nothing is marked then', async () => {
    expect(await bob.post(markersPath(), {})).toEqual({})
    expect(told).toEqual([])
  })
})
