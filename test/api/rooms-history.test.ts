import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { answerOf } from '../harness/refusal.ts'
import { at, objectsAt, path, type Person, type Query, register, text } from '../harness/people.ts'
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

const bodiesOf = (page: JsonObject) => objectsAt(page, 'chunk').map(event => at(event, 'content', 'body'))
const membershipThen = (event: JsonValue | undefined) => at(event, 'unsigned', 'membership')

describe('pages of messages', () => {
  const onlyMessages = '{"types":["m.room.message"]}'

  it.each(['b', 'f'])('in direction %s say where they end until one is empty', async dir => {
    const sent = ['one', 'two', 'three']
    for (const body of sent) await alice.send(room, body)
    const seen: unknown[] = []
    let from: string | undefined
    for (;;) {
      const page = await alice.messages(room, { dir, from, limit: 3, filter: onlyMessages })
      if (objectsAt(page, 'chunk').length === 0) {
        expect(page).not.toHaveProperty('end')
        break
      }
      seen.push(...bodiesOf(page))
      from = text(page, 'end')
    }
    expect(seen).toEqual(dir === 'f' ? sent : sent.toReversed())
  })

  it('end where those that come later can be asked for', async () => {
    await alice.send(room, 'early')
    const { end } = await alice.messages(room, { dir: 'f', limit: 100 })
    expect(typeof end).toBe('string')
    await alice.send(room, 'late')
    expect(bodiesOf(await alice.messages(room, { dir: 'f', from: String(end) }))).toEqual(['late'])
  })

  it('go forward unless a direction is asked for', async () => {
    await alice.send(room, 'hello')
    const forward = await alice.messages(room, { dir: 'f' })
    expect(objectsAt(forward, 'chunk')[0]).toMatchObject({ type: 'm.room.create' })
    expect((await alice.messages(room, {}))['chunk']).toEqual(forward['chunk'])
    expect(await answerOf(alice, 'GET', `${path`/rooms/${room}/messages`}?dir=up`)).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('are refused to outsiders in the words for a room that is not there, whatever they ask for', async () => {
    const refusals = await Promise.all(
      [room, '!unknown:lethe.test'].flatMap(each =>
        ['', '?dir=b', '?dir=b&from=nonsense'].map(async query => {
          const done = await bob.request('GET', `${path`/rooms/${each}/messages`}${query}`)
          return [done.status, done.json]
        }),
      ),
    )
    expect(refusals[0]).toEqual([403, { errcode: 'M_FORBIDDEN', error: expect.any(String) as unknown }])
    for (const refusal of refusals) expect(refusal).toEqual(refusals[0])
  })
})

describe('events say what their reader was in the room', () => {
  /** Alice speaks before, during and after Bob's two stays; the texts of what Bob sees, and what he was then. */
  async function lives(): Promise<string[]> {
    const ids = [await alice.send(room, 'before')]
    await bob.join(room)
    ids.push(await alice.send(room, 'with Bob'))
    await bob.leave(room)
    ids.push(await alice.send(room, 'without Bob'))
    await alice.invite(room, bob.userId)
    ids.push(await alice.send(room, 'while he is invited'))
    await bob.join(room)
    return ids
  }

  it('in /messages, a change of membership being part of it', async () => {
    await lives()
    const chunk = objectsAt(await bob.messages(room, { dir: 'f', limit: 100 }), 'chunk')
    const told = chunk
      .filter(event => event['type'] === 'm.room.message' || event['state_key'] === bob.userId)
      .map(event => [at(event, 'content', 'body') ?? at(event, 'content', 'membership'), membershipThen(event)])
    expect(told).toEqual([
      ['before', 'leave'],
      ['join', 'join'],
      ['with Bob', 'join'],
      ['leave', 'leave'],
      ['without Bob', 'leave'],
      ['invite', 'invite'],
      ['while he is invited', 'invite'],
      ['join', 'join'],
    ])
    expect(chunk.every(event => typeof membershipThen(event) === 'string')).toBe(true)
  })

  it('each reader for themselves', async () => {
    const [before = ''] = await lives()
    expect(membershipThen(await alice.event(room, before))).toBe('join')
    expect(membershipThen(await bob.event(room, before))).toBe('leave')
  })

  it('in state, in members and around an event', async () => {
    const [, together = ''] = await lives()
    const done = await bob.request('GET', path`/rooms/${room}/state`)
    const state = Array.isArray(done.json) ? done.json.filter(isJsonObject) : []
    const create = state.find(event => event['type'] === 'm.room.create')
    expect(membershipThen(create)).toBe('leave')
    const members = objectsAt(await bob.get(path`/rooms/${room}/members`), 'chunk')
    expect(members.map(event => [event['state_key'], membershipThen(event)])).toEqual(
      expect.arrayContaining([
        [alice.userId, 'leave'],
        [bob.userId, 'join'],
      ]),
    )
    const context = await bob.get(path`/rooms/${room}/context/${together}`, { limit: 2 })
    expect(membershipThen(context['event'])).toBe('join')
    expect(objectsAt(context, 'events_after').map(membershipThen)).toEqual(['leave'])
  })

  it('in threads and edits that come with an event', async () => {
    const root = await alice.send(room, 'root')
    const reply = { msgtype: 'm.text', body: 'reply', 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
    await alice.send(room, reply)
    await bob.join(room)
    const edit = {
      msgtype: 'm.text',
      body: '* better',
      'm.new_content': { msgtype: 'm.text', body: 'better' },
      'm.relates_to': { rel_type: 'm.replace', event_id: root },
    }
    await alice.send(room, edit)
    const shown = await bob.event(room, root)
    const relations = at(shown, 'unsigned', 'm.relations')
    expect(membershipThen(shown)).toBe('leave')
    expect(membershipThen(at(relations, 'm.thread', 'latest_event'))).toBe('leave')
    expect(membershipThen(at(relations, 'm.replace'))).toBe('join')
  })
})

describe('the surroundings of an event', () => {
  it('are filtered, their state too, but not the event itself', async () => {
    const eventId = await alice.send(room, 'hello')
    await alice.setState(room, 'm.room.topic', { topic: 'after' })
    const typesIn = async (query: Query) => {
      const found = await alice.get(path`/rooms/${room}/context/${eventId}`, query)
      const types = (key: string) => new Set(objectsAt(found, key).map(event => event['type']))
      expect(at(found, 'event', 'event_id')).toBe(eventId)
      return [types('events_before'), types('events_after'), types('state')]
    }
    const topic = new Set(['m.room.topic'])
    expect(await typesIn({ limit: 40, filter: '{"types":["m.room.topic"]}' })).toEqual([new Set(), topic, topic])
    expect((await typesIn({ limit: 40 }))[2]).toContain('m.room.create')
  })
})

describe('members at a point in time', () => {
  const both = () => [alice.userId, bob.userId].toSorted()
  const membersOf = async (person: Person, query: Query) =>
    objectsAt(await person.get(path`/rooms/${room}/members`, query), 'chunk')
      .map(event => text(event, 'state_key'))
      .toSorted()

  it('are those of then, for those who may see what was said then', async () => {
    await bob.join(room)
    const then = await alice.now()
    await bob.leave(room)
    expect(await membersOf(alice, { at: then, membership: 'join' })).toEqual(both())
    expect(await membersOf(alice, { membership: 'join' })).toEqual([alice.userId])
  })

  it('are refused where the history of then is closed to the reader', async () => {
    await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'joined' })
    const before = await alice.now()
    await bob.join(room)
    expect(await answerOf(bob, 'GET', `${path`/rooms/${room}/members`}?at=${before}`)).toEqual([403, 'M_FORBIDDEN'])
    expect(await membersOf(bob, { at: await bob.now() })).toEqual(both())
  })

  it('may be asked for by what they are and by what they are not, either of which is enough', async () => {
    await bob.join(room)
    await bob.leave(room)
    expect(await membersOf(alice, { membership: 'leave' })).toEqual([bob.userId])
    expect(await membersOf(alice, { not_membership: 'leave' })).toEqual([alice.userId])
    expect(await membersOf(alice, { membership: 'leave', not_membership: 'leave' })).toEqual(both())
    expect(await membersOf(alice, { membership: 'join', not_membership: 'leave' })).toEqual([alice.userId])
  })
})

describe('relations', () => {
  const relating = (parent: string, relType: string, body: string) => ({
    msgtype: 'm.text',
    body,
    'm.relates_to': { rel_type: relType, event_id: parent },
  })
  const relations = (event: JsonValue | undefined) => at(event, 'unsigned', 'm.relations')

  it('of a redacted event stay bundled, but for its edits', async () => {
    const root = await alice.send(room, 'root')
    const reply = await alice.send(room, relating(root, 'm.thread', 'reply'))
    const reference = await alice.send(room, relating(root, 'm.reference', 'see above'))
    const edit = { ...relating(root, 'm.replace', '* better'), 'm.new_content': { msgtype: 'm.text', body: 'better' } }
    const edited = await alice.send(room, edit)
    expect(at(relations(await alice.event(room, root)), 'm.replace', 'event_id')).toBe(edited)
    await alice.redact(room, root)
    const bundled = relations(await alice.event(room, root))
    expect(at(bundled, 'm.thread', 'latest_event', 'event_id')).toBe(reply)
    expect(at(bundled, 'm.reference', 'chunk')).toEqual([{ event_id: reference }])
    expect(at(bundled, 'm.replace')).toBeUndefined()
    const threads = await alice.get(path`/_matrix/client/v1/rooms/${room}/threads`)
    expect(relations(objectsAt(threads, 'chunk')[0])).toEqual(bundled)
  })

  it('of relations come along only where all between fit what was asked for', async () => {
    const root = await alice.send(room, 'root')
    const reply = await alice.send(room, relating(root, 'm.thread', 'reply'))
    const quote = await alice.send(room, relating(root, 'm.reference', 'quote'))
    const inThread = await alice.send(room, relating(quote, 'm.reference', 'quote of the quote'))
    await alice.send(room, relating(reply, 'm.reference', 'quote of the reply'))
    const url = path`/_matrix/client/v1/rooms/${room}/relations/${root}/m.reference`
    const found = objectsAt(await alice.get(url, { recurse: true, dir: 'f' }), 'chunk')
    expect(found.map(event => event['event_id'])).toEqual([quote, inThread])
    const all = objectsAt(await alice.get(url.replace('/m.reference', ''), { recurse: true }), 'chunk')
    expect(all).toHaveLength(4)
  })
})

describe('those who are ignored', () => {
  const ignoring = (ignored: JsonObject) =>
    bob.put(path`/user/${bob.userId}/account_data/m.ignored_user_list`, { ignored_users: ignored })

  it('are not heard in history, around events, in threads and among relations, until they are listened to again', async () => {
    const carol = await register(server)
    await bob.join(room)
    await carol.join(room)
    const root = await alice.send(room, 'root')
    const inThread = { rel_type: 'm.thread', event_id: root }
    const reply = await alice.send(room, { msgtype: 'm.text', body: 'kind', 'm.relates_to': inThread })
    await carol.send(room, { msgtype: 'm.text', body: 'unkind', 'm.relates_to': inThread })
    await carol.send(room, {
      msgtype: 'm.text',
      body: 'unkind',
      'm.relates_to': { ...inThread, rel_type: 'm.reference' },
    })
    const heard = async () => {
      const relations = path`/_matrix/client/v1/rooms/${room}/relations/${root}`
      const bundled = at(await bob.event(room, root), 'unsigned', 'm.relations')
      return {
        history: bodiesOf(await bob.messages(room)).filter(body => body === 'unkind').length,
        around: objectsAt(await bob.get(path`/rooms/${room}/context/${root}`), 'events_after').length,
        relations: objectsAt(await bob.get(relations), 'chunk').length,
        replies: at(bundled, 'm.thread', 'count'),
        latest: at(bundled, 'm.thread', 'latest_event', 'content', 'body'),
        references: objectsAt(bundled, 'm.reference', 'chunk').length,
      }
    }
    const everything = { history: 2, around: 3, relations: 3, replies: 2, latest: 'unkind', references: 1 }
    expect(await heard()).toEqual(everything)
    await ignoring({ [carol.userId]: {} })
    expect(await heard()).toEqual({ history: 0, around: 1, relations: 1, replies: 1, latest: 'kind', references: 0 })
    // Their state is told all the same, and so are their threads to others.
    const members = objectsAt(await bob.messages(room, { dir: 'b', filter: '{"types":["m.room.member"]}' }), 'chunk')
    expect(members.map(event => event['state_key'])).toContain(carol.userId)
    expect(at(await alice.event(room, root), 'unsigned', 'm.relations', 'm.thread', 'count')).toBe(2)
    expect(await bob.event(room, reply)).toMatchObject({ event_id: reply })
    await ignoring({})
    expect(await heard()).toEqual(everything)
  })
})

describe('a reply in a thread that was redacted', () => {
  it('is no part of the thread any more, nor its sender, and no row says what it belonged to', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const root = await alice.send(room, 'root')
    const reply = (body: string) => ({ msgtype: 'm.text', body, 'm.relates_to': { rel_type: 'm.thread', event_id: root } }) // prettier-ignore
    await alice.send(room, reply('stays'))
    const said = await bob.send(room, reply('goes'))
    const threads = async () => {
      const target = `/_matrix/client/v1${path`/rooms/${room}/threads`}`
      return objectsAt(await bob.get(target, { include: 'participated' }), 'chunk')
    }
    const related = async () =>
      (await server.ctx.db.pool.query('SELECT FROM event_relations JOIN events ON event_number = child_number WHERE event_id = $1', [said])).rowCount // prettier-ignore
    expect([(await threads()).length, await related()]).toEqual([1, 1])
    await bob.redact(room, said)
    expect([(await threads()).length, await related()]).toEqual([0, 0])
    expect(at(await alice.event(room, root), 'unsigned', 'm.relations', 'm.thread', 'count')).toBe(1)
  })
})
