import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { authenticateToken } from '../../src/accounts/authenticate.ts'
import { type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { createRoom } from '../../src/rooms/create.ts'
import { type LogEntry } from '../../src/storage/log-entries.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let room: string
let told: LogEntry[] = []
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
  bob = await register(server, 'bob')
  const actor = await authenticateToken(server.ctx, alice.accessToken)
  room = await createRoom(server.ctx, actor, {
    isPublic: false, invite: [], isDirect: false, creationContent: {}, initialState: [], powerLevels: {},
  }) // prettier-ignore
  server.ctx.log.subscribe(entries => told.push(...entries))
})
afterAll(() => server.close())

const tellings = () => {
  const seen = told.filter(each => each.kind === 'account_data')
  told = []
  return seen.map(each => ({ ...each, position: 0 }))
}

describe('filters', () => {
  const filters = path`/user/${'@alice:lethe.test'}/filter`
  const filter = { room: { timeline: { limit: 10, types: ['m.room.message'] } }, 'org.example': [1.5] }

  it('are kept, under the same ID when they are the same', async () => {
    const kept = await alice.post(filters, filter)
    expect(await alice.post(filters, filter)).toEqual(kept)
    expect(await alice.post(filters, {})).not.toEqual(kept)
    expect(await alice.get(`${filters}/${String(kept.filter_id)}`)).toEqual(filter)
  })

  it('get one ID when they come at once', async () => {
    const many = await Promise.all(Array.from({ length: 4 }, () => alice.post(filters, { event_fields: ['type'] })))
    expect(new Set(many.map(each => each.filter_id)).size).toBe(1)
  })

  it.each(['0', '999', '-1', 'x', '1e3', '99999999999999999999', '%7B%7D'])('are not found under %j', async id => {
    expect((await alice.request('GET', `${filters}/${id}`)).status).toBe(404)
  })

  it('of others are not to be had', async () => {
    expect((await bob.request('POST', filters, filter)).status).toBe(403)
    expect((await bob.request('GET', `${filters}/1`)).status).toBe(403)
    expect((await bob.request('GET', path`/user/${bob.userId}/filter/1`)).status).toBe(404)
  })

  it.each<[JsonValue]>([[{ room: [] }], [{ room: { timeline: { limit: 'x' } } }], [{ room: { rooms: ['x'] } }]])(
    'are refused when they are %j',
    async body => {
      const done = await alice.request('POST', filters, JSON.stringify(body))
      expect(done.status).toBe(400)
      expect(done.json).toMatchObject({ errcode: 'M_BAD_JSON' })
    },
  )
})

describe('account data', () => {
  const of = (type: string, inRoom = false) =>
    inRoom
      ? path`/user/${'@alice:lethe.test'}/rooms/${room}/account_data/${type}`
      : path`/user/${'@alice:lethe.test'}/account_data/${type}`

  it.each([false, true])('can be set, told of and read back (in a room: %s)', async inRoom => {
    tellings()
    await alice.put(of('org.example', inRoom), { value: 1.5, nested: { 'a\u0000b': null } })
    expect(tellings()).toEqual([
      {
        kind: 'account_data',
        position: 0,
        userId: '@alice:lethe.test',
        roomId: inRoom ? room : null,
        type: 'org.example',
        content: '{"value":1.5,"nested":{"a\\u0000b":null}}',
      },
    ])
    expect(await alice.get(of('org.example', inRoom))).toEqual({ value: 1.5, nested: { 'a\u0000b': null } })
    await alice.put(of('org.example', inRoom), { value: 'second' })
    expect(await alice.get(of('org.example', inRoom))).toEqual({ value: 'second' })
  })

  it('of a room is not that outside, nor that of another type', async () => {
    await alice.put(of('org.outside'), { value: 1 })
    await alice.put(of('org.inside', true), { value: 1 })
    expect((await alice.request('GET', of('org.outside', true))).status).toBe(404)
    expect((await alice.request('GET', of('org.inside'))).status).toBe(404)
  })

  it('of others is not to be had', async () => {
    for (const inRoom of [false, true]) {
      expect((await bob.request('GET', of('org.example', inRoom))).status).toBe(403)
      expect((await bob.request('PUT', of('org.example', inRoom), {})).status).toBe(403)
    }
  })

  it.each([room ?? '!unknown:lethe.test', '!unknown:lethe.test'])('is not kept for rooms of others', async roomId => {
    const target = path`/user/${bob.userId}/rooms/${roomId}/account_data/${'org.example'}`
    const known = path`/user/${bob.userId}/rooms/${room}/account_data/${'org.example'}`
    const refused = await bob.request('PUT', target, {})
    expect(refused.status).toBe(403)
    expect((await bob.request('PUT', known, {})).json).toEqual(refused.json)
    expect((await bob.request('GET', target)).status).toBe(404)
  })

  it.each(['m.push_rules', 'm.fully_read'])("of type %s is the server's to set", async type => {
    for (const inRoom of [false, true]) {
      const done = await alice.request('PUT', of(type, inRoom), {})
      expect(done.status).toBe(405)
      expect(done.json).toMatchObject({ errcode: 'M_BAD_JSON' })
    }
  })

  it('has push rules from the beginning', async () => {
    expect(await alice.get(of('m.push_rules'))).toMatchObject({ global: { override: expect.any(Array) } })
  })

  it('has push rules as the endpoints for them show them, whatever was changed', async () => {
    await alice.put(path`/pushrules/global/room/${'!quiet:lethe.test'}`, { actions: [] })
    await alice.put('/pushrules/global/override/.m.rule.master/enabled', { enabled: true })
    expect(await alice.get(of('m.push_rules'))).toEqual({ global: await alice.get('/pushrules/global/') })
  })

  it('may have 256 KiB', async () => {
    const value = (bytes: number) => ({ v: 'x'.repeat(bytes - '{"v":""}'.length) })
    expect((await alice.request('PUT', of('org.big'), value(262_144))).status).toBe(200)
    const done = await alice.request('PUT', of('org.big'), value(262_145))
    expect(done.status).toBe(413)
    expect(done.json).toMatchObject({ errcode: 'M_TOO_LARGE' })
  })

  it.each(['[]', '1', 'null', '"x"', '{'])('is not %s', async body => {
    expect((await alice.request('PUT', of('org.example'), body)).status).toBe(400)
  })

  it('has no type with NUL, nor one of 256 bytes', async () => {
    expect((await alice.request('PUT', of('a\u0000'), {})).status).toBe(400)
    expect((await alice.request('PUT', of('x'.repeat(256)), {})).status).toBe(400)
    expect((await alice.request('PUT', of('x'.repeat(255)), {})).status).toBe(200)
  })
})

describe('tags', () => {
  const of = (tag?: string) =>
    tag === undefined
      ? path`/user/${'@alice:lethe.test'}/rooms/${room}/tags`
      : path`/user/${'@alice:lethe.test'}/rooms/${room}/tags/${tag}`

  it('are put on, told of as one event, and taken off', async () => {
    expect(await alice.get(of())).toEqual({ tags: {} })
    tellings()
    await alice.put(of('m.favourite'), { order: 0.25, 'org.example': 'kept' })
    await alice.put(of('u.Work'), {})
    const tags = { 'm.favourite': { order: 0.25, 'org.example': 'kept' }, 'u.Work': {} }
    expect(await alice.get(of())).toEqual({ tags })
    const all = tellings()
    expect(all).toHaveLength(2)
    expect(JSON.parse(all[1]?.content ?? '')).toEqual({ tags })
    await alice.delete(of('m.favourite'))
    await alice.delete(of('m.favourite'))
    expect(await alice.get(of())).toEqual({ tags: { 'u.Work': {} } })
    expect(tellings()).toHaveLength(1)
  })

  it('that are put on at once are all there', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `u.${index}`)
    await Promise.all(names.map(name => alice.put(of(name), {})))
    const { tags } = (await alice.get(of())) as { tags: JsonObject }
    expect(Object.keys(tags)).toEqual(expect.arrayContaining(names))
  })

  it('are the content of the account data m.tag, and survive whatever clients write there', async () => {
    const data = path`/user/${alice.userId}/rooms/${room}/account_data/${'m.tag'}`
    await alice.put(data, { tags: { 'u.good': {}, 'u.bad': 7 } })
    expect(await alice.get(of())).toEqual({ tags: { 'u.good': {} } })
    await alice.put(data, { tags: 'none' })
    await alice.put(of('u.new'), {})
    expect(await alice.get(data)).toEqual({ tags: { 'u.new': {} } })
  })

  it.each<[string, JsonObject]>([
    ['u.order', { order: 'first' }],
    ['u.order', { order: 2 }],
    ['x'.repeat(256), {}],
  ])('refuse %.20s with %j', async (tag, body) => {
    expect((await alice.request('PUT', of(tag), body)).status).toBe(400)
  })

  it('of others are not to be had', async () => {
    expect((await bob.request('GET', of())).status).toBe(403)
    expect((await bob.request('PUT', of('u.x'), {})).status).toBe(403)
    expect((await bob.request('DELETE', of('u.x'))).status).toBe(403)
    expect((await bob.request('PUT', path`/user/${bob.userId}/rooms/${room}/tags/u.x`, {})).status).toBe(403)
  })
})
