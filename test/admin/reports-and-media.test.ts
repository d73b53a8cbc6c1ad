import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { adminRoutes } from '../../src/api/admin/routes.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { errcodeOf } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

let server: TestServer
let admin: Person

beforeAll(async () => {
  server = await startTestServer({ loops: [], settings: { admin: { content_access: true } } })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const reports = v1('/event_reports')

describe('a report', () => {
  it('of an event reaches the administrators, with who reported what', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat', name: 'Rough' })
    await user.join(room)
    const eventId = await owner.send(room, 'rude')
    expect(await user.post(path`/rooms/${room}/report/${eventId}`, { reason: 'rude!', score: -50 })).toEqual({})
    const listed = await admin.get(reports, { room_id: room })
    expect(listed['total']).toBe(1)
    const [report] = objectsAt(listed, 'event_reports')
    expect(report).toMatchObject({
      event_id: eventId, room_id: room, user_id: user.userId, sender: owner.userId, reason: 'rude!', score: -50, name: 'Rough',
    }) // prettier-ignore
    expect(report?.['received_ts']).toBe(server.clock.now())
    const one = `${reports}/${String(report?.['id'])}`
    expect(at(await admin.get(one), 'event_json', 'content', 'body')).toBe('rude')
    expect(await admin.delete(one)).toEqual({})
    expect((await admin.request('GET', one)).status).toBe(404)
    expect(await admin.get(reports, { user_id: user.userId })).toEqual({ event_reports: [], total: 0 })
  })

  it('is refused for what the reporter cannot see', async () => {
    const [owner, stranger] = [await register(server), await register(server)]
    const room = await owner.createRoom()
    const eventId = await owner.send(room, 'private')
    for (const target of [path`/rooms/${room}/report/${eventId}`, path`/rooms/${room}/report`]) {
      expect(errcodeOf((await stranger.request('POST', target, { reason: 'x' })).json)).toBe('M_NOT_FOUND')
    }
    expect((await owner.request('POST', path`/rooms/${room}/report`, { reason: 'x'.repeat(3_000) })).status).toBe(400)
    expect((await owner.request('POST', path`/rooms/${room}/report`, {})).status).toBe(400)
  })

  it('of a room or a user is listed apart', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat' })
    await user.join(room)
    await user.post(path`/rooms/${room}/report`, { reason: 'the room' })
    await user.post(path`/users/${owner.userId}/report`, { reason: 'the user' })
    await user.post(path`/users/${'@nobody:lethe.test'}/report`, { reason: 'nobody' })
    const list = (kind: string) => admin.get(`/_lethe/admin/v1/reports/${kind}`)
    expect(objectsAt(await list('room'), 'reports')).toMatchObject([
      { room_id: room, reason: 'the room', sender: null },
    ])
    expect(objectsAt(await list('user'), 'reports')).toMatchObject([{ room_id: null, sender: owner.userId }])
    expect(await admin.get(reports)).toMatchObject({ total: 0 })
    const id = String(at(await list('user'), 'reports', 0, 'id'))
    expect((await admin.request('DELETE', `/_lethe/admin/v1/reports/room/${id}`)).status).toBe(404)
    expect(await admin.delete(`/_lethe/admin/v1/reports/user/${id}`)).toEqual({})
  })

  it('lives for thirty days', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    await user.post(path`/rooms/${room}/report`, { reason: 'old' })
    const count = async () => objectsAt(await admin.get('/_lethe/admin/v1/reports/room'), 'reports').length
    await server.clock.advance(29 * 86_400_000)
    await sweep(server.ctx)
    expect(await count()).toBeGreaterThan(0)
    await server.clock.advance(2 * 86_400_000)
    await sweep(server.ctx)
    expect(await count()).toBe(0)
  })

  it('is shown with the event only where administrators may read content', async () => {
    const closed = await startTestServer()
    const root = await registerAdmin(closed)
    const room = await root.createRoom()
    await root.post(path`/rooms/${room}/report/${await root.send(room, 'x')}`, {})
    const id = String(at(await root.get(reports), 'event_reports', 0, 'id'))
    expect(errcodeOf((await root.request('GET', `${reports}/${id}`)).json)).toBe('M_FORBIDDEN')
    await closed.close()
  })
})

describe('media', () => {
  const upload = async (person: Person, bytes = 'some bytes') => {
    const done = await person.request('POST', '/_matrix/media/v3/upload?filename=a.txt', Buffer.from(bytes), {
      headers: { 'Content-Type': 'text/plain' },
    })
    return (
      text(done.json as never, 'content_uri')
        .split('/')
        .at(-1) ?? ''
    ) // An object, or `text` throws.
  }
  const download = async (person: Person, id: string) =>
    (await person.request('GET', `/_matrix/client/v1/media/download/lethe.test/${id}`)).status

  it('is listed by user and counted', async () => {
    const user = await register(server, 'uploader')
    const id = await upload(user)
    const list = v1(path`/users/${user.userId}/media`)
    expect(await admin.get(list)).toMatchObject({
      total: 1,
      media: [{ media_id: id, media_type: 'text/plain', media_length: 10, upload_name: 'a.txt', quarantined_by: null }],
    })
    expect(await admin.get(v1(`/media/lethe.test/${id}`))).toMatchObject({ media_info: { user_id: user.userId } })
    expect((await admin.request('GET', v1(`/media/other.test/${id}`))).status).toBe(404)
    expect(await admin.get(v1('/statistics/users/media'), { search_term: 'uploader' })).toEqual({
      users: [{ user_id: user.userId, displayname: null, media_count: 1, media_length: 10 }],
      total: 1,
    })
  })

  it('is deleted: one, a user’s, or what is old and large', async () => {
    const user = await register(server)
    const [one, two] = [await upload(user), await upload(user)]
    expect(await admin.delete(v1(`/media/lethe.test/${one}`))).toEqual({ deleted_media: [one], total: 1 })
    expect([await download(user, one), await download(user, two)]).toEqual([404, 200])
    expect(await admin.delete(v1(path`/users/${user.userId}/media`))).toEqual({ deleted_media: [two], total: 1 })
    const [small, large] = [await upload(user), await upload(user, 'x'.repeat(5_000))]
    await server.clock.advance(1_000)
    const before = server.clock.now()
    const remove = (query: string) => admin.request('POST', v1(`/media/delete?${query}`))
    expect((await remove(`before_ts=${Math.floor(before / 1000)}`)).status).toBe(400)
    expect((await remove(`before_ts=${before}&size_gt=4000`)).json).toMatchObject({ deleted_media: [large] })
    expect(await download(user, small)).toBe(200)
    expect((await admin.request('POST', v1('/purge_media_cache?before_ts=1'))).json).toEqual({ deleted: 0 })
  })

  it('of a user is listed and deleted in the order that is asked for, the newest first by itself', async () => {
    const user = await register(server)
    const ids: string[] = []
    for (const size of [30, 10, 20]) {
      await server.clock.advance(1_000)
      ids.push(await upload(user, 'x'.repeat(size)))
    }
    const [old = '', small = '', newest = ''] = ids
    const target = v1(path`/users/${user.userId}/media`)
    const listed = async (query: Record<string, string | number>) =>
      objectsAt(await admin.get(target, query), 'media').map(each => each['media_id'])
    expect(await listed({})).toEqual([newest, small, old])
    expect(await listed({ order_by: 'created_ts' })).toEqual([old, small, newest])
    expect(await listed({ order_by: 'media_length' })).toEqual([small, newest, old])
    expect(await listed({ order_by: 'media_length', dir: 'b', from: 1 })).toEqual([newest, small])
    expect(await listed({ order_by: 'last_access_ts' })).toHaveLength(3)
    const deleted = async (query: string) => (await admin.request('DELETE', `${target}?${query}`)).json
    expect(await deleted('limit=1&order_by=media_length')).toEqual({ deleted_media: [small], total: 1 })
    expect(await deleted('limit=1')).toEqual({ deleted_media: [newest], total: 1 })
    expect(await listed({})).toEqual([old])
    expect((await admin.request('DELETE', `${target}?order_by=age`)).status).toBe(400)
    expect(await listed({})).toEqual([old])
  })

  it('is put into quarantine, but for what is protected, and let out again', async () => {
    const user = await register(server)
    const [one, two] = [await upload(user), await upload(user)]
    await admin.post(v1(`/media/protect/${two}`))
    expect(await admin.post(v1(path`/user/${user.userId}/media/quarantine`))).toEqual({ num_quarantined: 1 })
    expect([await download(user, one), await download(user, two)]).toEqual([404, 200])
    await admin.post(v1(`/media/unquarantine/lethe.test/${one}`))
    expect(await download(user, one)).toBe(200)
    await admin.post(v1(`/media/unprotect/${two}`))
    await admin.post(v1(`/media/quarantine/lethe.test/${two}`))
    expect(await download(user, two)).toBe(404)
    expect((await admin.request('POST', v1('/media/protect/none'))).status).toBe(404)
    expect((await admin.request('POST', v1('/media/quarantine/lethe.test/none'))).status).toBe(404)
  })
})

describe('lifetimes', () => {
  it('are told, and set for one room over what it says', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const eventId = await user.send(room, 'short')
    expect(await admin.get('/_lethe/admin/v1/retention')).toMatchObject({ default: { max_lifetime: null } })
    const target = path`/_lethe/admin/v1/retention/rooms/${room}`
    expect(await admin.put(target, { max_lifetime: 1_000 })).toEqual({})
    expect(objectsAt(await admin.get('/_lethe/admin/v1/retention/rooms'), 'rooms')).toEqual([
      { room_id: room, max_lifetime: 1_000, min_lifetime: null },
    ])
    await server.clock.advance(2_000)
    expect((await user.request('GET', path`/rooms/${room}/event/${eventId}`)).status).toBe(404)
    expect(await admin.delete(target)).toEqual({})
    expect(await admin.get('/_lethe/admin/v1/retention/rooms')).toEqual({ rooms: [] })
    expect((await admin.request('PUT', target, { max_lifetime: 0 })).status).toBe(400)
    expect((await admin.request('PUT', '/_lethe/admin/v1/retention/rooms/!none:lethe.test', { max_lifetime: 1 })).status).toBe(404) // prettier-ignore
  })
})

describe('the document', () => {
  it('has every endpoint for administrators, with its parameters and body', async () => {
    const document = await admin.get('/_lethe/admin/openapi.json')
    const operations = Object.entries(at(document, 'paths') as object).flatMap(([target, methods]) =>
      Object.keys(methods as object).map(method => `${method.toUpperCase()} ${target}`),
    )
    const declared = adminRoutes.flatMap(({ method, paths }) =>
      paths.map(each => `${method} ${each.replace(/:(\w+)/g, '{$1}')}`),
    )
    expect(operations.sort()).toEqual(declared.sort())
    const put = at(document, 'paths', '/_synapse/admin/v1/users/{userId}/admin', 'put')
    expect(put).toMatchObject({
      parameters: [{ in: 'path', name: 'userId', required: true }],
      requestBody: { content: { 'application/json': { schema: { required: ['admin'] } } } },
    })
    expect(at(document, 'paths', '/_synapse/admin/v1/server_version', 'get', 'security')).toEqual([])
    const query = objectsAt(document, 'paths', '/_synapse/admin/v1/media/delete', 'post', 'parameters')
    expect(query.map(each => [each['name'], each['required'], at(each, 'schema')])).toEqual([
      ['before_ts', true, { type: 'integer', minimum: 0 }],
      ['size_gt', false, { type: 'integer', minimum: 0, default: 0 }],
      ['keep_profiles', false, { type: 'boolean', default: true }],
    ])
    const rooms = objectsAt(document, 'paths', '/_synapse/admin/v1/rooms', 'get', 'parameters')
    expect(at(rooms.find(each => each['name'] === 'dir') ?? {}, 'schema')).toEqual({ type: 'string', enum: ['f', 'b'], default: 'f' }) // prettier-ignore
    const lists = objectsAt(document, 'paths', '/_synapse/admin/v2/users', 'get', 'parameters')
    expect(at(lists.find(each => each['name'] === 'not_user_type') ?? {}, 'schema', 'type')).toBe('array')
  })
})
