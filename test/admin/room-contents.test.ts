import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { inventory } from '../../src/privacy/inventory.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { errcodeOf } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

let server: TestServer
let admin: Person

beforeAll(async () => {
  server = await startTestServer({ settings: { admin: { content_access: true } } })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const unknownRoom = '!none:lethe.test'

describe('an event in its context', () => {
  it('is shown with what was said around it, and what has expired is not', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const ids: string[] = []
    for (const body of ['one', 'two', 'three', 'four', 'five']) ids.push(await user.send(room, body))
    const bodies = (answer: Parameters<typeof objectsAt>[0], key: string) =>
      objectsAt(answer, key).map(event => at(event, 'content', 'body'))
    const target = v1(path`/rooms/${room}/context/${ids[2] ?? ''}`)
    const shown = await admin.get(target, { limit: 3 })
    expect(at(shown, 'event', 'content', 'body')).toBe('three')
    expect([bodies(shown, 'events_before'), bodies(shown, 'events_after')]).toEqual([['two', 'one'], ['four']])
    expect(objectsAt(shown, 'state').map(event => event['type'])).toContain('m.room.create')
    // Its tokens go on in `messages`.
    const further = await admin.get(v1(path`/rooms/${room}/messages`), { from: text(shown, 'end'), dir: 'f' })
    expect(bodies(further, 'chunk')).toEqual(['five'])
    const filter = JSON.stringify({ types: ['m.room.create'] })
    const filtered = await admin.get(v1(path`/rooms/${room}/messages`), {
      to: text(shown, 'start'),
      limit: 100,
      filter,
    })
    expect(objectsAt(filtered, 'chunk').map(event => event['type'])).toEqual(['m.room.create'])
    const other = await user.createRoom()
    expect((await admin.request('GET', v1(path`/rooms/${other}/context/${ids[2] ?? ''}`))).status).toBe(404)
    await user.setState(room, 'm.room.retention', { max_lifetime: 1_000 })
    await server.clock.advance(2_000)
    expect((await admin.request('GET', target)).status).toBe(404)
  })

  it('is not shown where administrators do not read content', async () => {
    const closed = await startTestServer()
    const root = await registerAdmin(closed)
    const room = await root.createRoom()
    const id = await root.send(room, 'mine')
    const done = await root.request('GET', v1(path`/rooms/${room}/context/${id}`))
    expect(errcodeOf(done.json)).toBe('M_FORBIDDEN')
    await closed.close()
  })
})

describe('the event of a time', () => {
  it('is the nearest one, from there on or back', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const early = await user.send(room, 'early')
    const between = server.clock.now() + 500
    await server.clock.advance(1_000)
    const late = await user.send(room, 'late')
    const ask = (query: Record<string, string | number>) =>
      admin.get(v1(path`/rooms/${room}/timestamp_to_event`), query)
    expect(await ask({ ts: between })).toEqual({ event_id: late, origin_server_ts: between + 500 })
    expect(await ask({ ts: between, dir: 'b' })).toMatchObject({ event_id: early })
    const beyond = await admin.request(
      'GET',
      v1(path`/rooms/${room}/timestamp_to_event?ts=${String(between + 10_000)}`),
    )
    expect(errcodeOf(beyond.json)).toBe('M_NOT_FOUND')
    expect((await admin.request('GET', v1(path`/rooms/${room}/timestamp_to_event`))).status).toBe(400)
    expect((await admin.request('GET', v1(`/rooms/${unknownRoom}/timestamp_to_event?ts=1`))).status).toBe(404)
  })
})

describe('media in a room', () => {
  it('is listed, and put into quarantine together but for what is protected', async () => {
    const user = await register(server)
    const [room, other] = [await user.createRoom(), await user.createRoom()]
    const show = async (where: string) => {
      const done = await user.request('POST', '/_matrix/media/v3/upload', Buffer.from('bytes'), {
        headers: { 'Content-Type': 'text/plain' },
      })
      const url = String(at(done.json, 'content_uri'))
      await user.send(where, { msgtype: 'm.file', body: 'file', url })
      return url
    }
    const [one, two, elsewhere] = [await show(room), await show(room), await show(other)]
    const listed = await admin.get(v1(path`/room/${room}/media`))
    expect(listed).toEqual({ local: [one, two].sort(), remote: [] })
    const idOf = (url: string) => url.split('/').at(-1) ?? ''
    await admin.post(v1(`/media/protect/${idOf(one)}`))
    expect(await admin.post(v1(path`/room/${room}/media/quarantine`))).toEqual({ num_quarantined: 1 })
    const status = async (url: string) =>
      (await user.request('GET', `/_matrix/client/v1/media/download/lethe.test/${idOf(url)}`)).status
    expect([await status(one), await status(two), await status(elsewhere)]).toEqual([200, 404, 200])
    expect((await admin.request('GET', v1(`/room/${unknownRoom}/media`))).status).toBe(404)
    expect((await admin.request('POST', v1(`/room/${unknownRoom}/media/quarantine`))).status).toBe(404)
  })
})

describe('the largest rooms', () => {
  it('are told with the bytes of their events', async () => {
    const user = await register(server)
    const [large, small] = [await user.createRoom(), await user.createRoom()]
    // What does not compress.
    const noise = () => Buffer.from(server.ctx.random.bytes(20_000)).toString('base64')
    for (let count = 0; count < 3; count++) await user.send(large, noise())
    await user.send(small, 'x')
    const rooms = objectsAt(await admin.get(v1('/statistics/database/rooms')), 'rooms')
    const sizeOf = (id: string) => Number(rooms.find(room => room['room_id'] === id)?.['estimated_size'])
    expect(rooms[0]?.['room_id']).toBe(large)
    expect(sizeOf(large)).toBeGreaterThan(60_000)
    expect(sizeOf(large)).toBeLessThan(120_000)
  })
})

describe('pushers', () => {
  it('are none, as long as the server has no table of them', async () => {
    const user = await register(server)
    expect(await admin.get(v1(path`/users/${user.userId}/pushers`))).toEqual({ pushers: [], total: 0 })
    expect((await admin.request('GET', v1('/users/@none:lethe.test/pushers'))).status).toBe(404)
    expect(Object.keys(inventory)).not.toContain('pushers')
  })
})

describe('the deletion of a room that is waited for', () => {
  it('answers when everybody is out and every row is gone', async () => {
    const [owner, member] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat', room_alias_name: 'waited' })
    await member.join(room)
    const done = await admin.delete(v1(path`/rooms/${room}`), { new_room_user_id: owner.userId })
    expect(done).toEqual({
      kicked_users: expect.arrayContaining([owner.userId, member.userId]) as unknown,
      failed_to_kick_users: [],
      local_aliases: ['#waited:lethe.test'],
      new_room_id: expect.stringMatching(/^!/) as unknown,
    })
    expect((await admin.request('GET', v1(path`/rooms/${room}`))).status).toBe(404)
    expect(await member.get('/joined_rooms')).toEqual({ joined_rooms: [done['new_room_id']] })
  })

  it('works where no loop runs, and is refused for what is unknown', async () => {
    const alone = await startTestServer({ loops: [] })
    const root = await registerAdmin(alone)
    const room = await root.createRoom()
    expect(await root.delete(v1(path`/rooms/${room}`), {})).toMatchObject({ kicked_users: [root.userId] })
    expect((await root.request('DELETE', v1(path`/rooms/${room}`), {})).status).toBe(404)
    await alone.close()
  })

  it('blocks a room that is not known here yet', async () => {
    const unknown = '/rooms/!unknown:lethe.test'
    expect(await admin.delete(v1(unknown), { block: true })).toEqual({
      kicked_users: [],
      failed_to_kick_users: [],
      local_aliases: [],
      new_room_id: null,
    })
    expect(await admin.get(v1(`${unknown}/block`))).toEqual({ block: true, user_id: admin.userId })
  })
})
