import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { adminRoutes } from '../../src/api/admin/routes.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { untilEnded } from '../admin/jobs.ts'
import { registerAdmin } from '../admin/people.ts'
import { exchange } from '../harness/exchange.ts'
import { at, objectsAt, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { repositoryFolder } from '../house/sources.ts'
import { adminCalls, callsTable } from './calls.ts'
import { every, type Shape, shapeProblems } from './shapes.ts'

// Ketesa's requests as its data provider sends them (85da7bf, August 2026), and the fields that its types and views read.

let server: TestServer
let admin: Person
let user: Person
let room: string
let eventId: string
let media: readonly string[]

async function upload(): Promise<string> {
  const done = await user.request('POST', '/_matrix/media/v3/upload?filename=a.txt', Buffer.from('some bytes'), {
    headers: { 'Content-Type': 'text/plain' },
  })
  const url = String(at(done.json, 'content_uri'))
  await user.send(room, { msgtype: 'm.file', body: 'a.txt', url })
  return url.split('/').at(-1) ?? ''
}

beforeAll(async () => {
  server = await startTestServer({ settings: { admin: { content_access: true } } })
  admin = await registerAdmin(server, 'root')
  user = await register(server, 'someone')
  room = await user.createRoom({ name: 'A room', preset: 'public_chat', creation_content: { type: 'm.space' } })
  eventId = await user.send(room, 'hello')
  media = [await upload(), await upload(), await upload()]
  await user.put(`/user/${user.userId}/account_data/org.example`, { a: 1 })
  await user.setState(room, 'm.space.child', { via: ['lethe.test'] }, await user.createRoom())
  await user.post(`/rooms/${encodeURIComponent(room)}/report/${encodeURIComponent(eventId)}`, {
    reason: 'rude',
    score: -1,
  })
  await user.post(`/users/${encodeURIComponent(admin.userId)}/report`, { reason: 'rude too' })
})
afterAll(() => server.close())

const encode = encodeURIComponent
const id = () => encode(user.userId)

const listedUser: Shape = {
  name: 'string', displayname: 'string?', avatar_url: 'string?', is_guest: 'boolean', admin: 'boolean',
  deactivated: 'boolean', erased: 'boolean', shadow_banned: 'boolean', creation_ts: 'number', user_type: 'string?',
  locked: 'boolean', suspended: 'boolean', last_seen_ts: 'number?',
} // prettier-ignore
const account: Shape = {
  ...listedUser, threepids: [{ medium: 'string' }], external_ids: [{ auth_provider: 'string' }], appservice_id: 'string?',
  consent_server_notice_sent: 'string?', consent_version: 'string?', consent_ts: 'number?',
} // prettier-ignore
const listedRoom: Shape = {
  room_id: 'string', name: 'string?', canonical_alias: 'string?', joined_members: 'number',
  joined_local_members: 'number', version: 'string', creator: 'string', encryption: 'string?', federatable: 'boolean',
  public: 'boolean', join_rules: 'string', guest_access: 'string?', history_visibility: 'string',
  state_events: 'number', room_type: 'string?',
} // prettier-ignore
const event: Shape = {
  event_id: 'string', type: 'string', room_id: 'string', sender: 'string', origin_server_ts: 'number',
  content: {}, state_key: 'string?',
} // prettier-ignore
const device: Shape = {
  device_id: 'string', display_name: 'string?', last_seen_ip: 'string?', last_seen_user_agent: 'string?',
  last_seen_ts: 'number?', user_id: 'string',
} // prettier-ignore
const userMedia: Shape = {
  created_ts: 'number', last_access_ts: 'number?', media_id: 'string', media_length: 'number', media_type: 'string',
  quarantined_by: 'string?', safe_from_quarantine: 'boolean', upload_name: 'string?',
} // prettier-ignore
const deletedMedia: Shape = { deleted_media: ['string'], total: 'number' }
const token: Shape = {
  token: 'string', uses_allowed: 'number?', pending: 'number', completed: 'number', expiry_time: 'number?',
} // prettier-ignore
const eventReport: Shape = {
  id: 'number', received_ts: 'number', room_id: 'string', name: 'string?', event_id: 'string', user_id: 'string',
  reason: 'string?', score: 'number?', sender: 'string', canonical_alias: 'string?',
} // prettier-ignore
const userReport: Shape = { id: 'number', received_ts: 'number', user_id: 'string', target_user_id: 'string', reason: 'string' } // prettier-ignore

interface Replay {
  /** Which of the calls of the table. */
  readonly call: string
  /** What comes behind `/_synapse/admin/`, as Ketesa writes it: encoded here and not there. */
  readonly target: () => string | Promise<string>
  readonly body?: () => JsonObject
  readonly shape: Shape
  readonly status?: number
  /** Asked without a token. */
  readonly isOpen?: true
  /** What is seen afterwards. */
  readonly then?: (answer: JsonObject) => void | Promise<void>
}

let deleteId = ''
let purgeId = ''
let redactId = ''

const firstId = async (list: string, key: string) => String(at(await admin.get(`/_synapse/admin/v1/${list}`), key, 0, 'id')) // prettier-ignore

/** In an order in which each finds what it needs. */
const replays: readonly Replay[] = [
  {
    call: 'GET v1/server_version',
    target: () => 'v1/server_version',
    isOpen: true,
    shape: { server_version: 'string' },
  },
  {
    call: 'GET v3/users',
    target: () =>
      'v3/users?deactivated=false&locked=true&suspended=false&from=0&limit=50&order_by=name&dir=f&name=some',
    shape: { users: [listedUser], total: 'number', next_token: 'string?' },
    then: answer => expect(answer['total']).toBe(1),
  },
  { call: 'GET v2/users/:userId', target: () => `v2/users/${id()}`, shape: account },
  {
    call: 'PUT v2/users/:userId',
    target: () => `v2/users/${encode('@made:lethe.test')}`,
    body: () => ({ displayname: 'Made', password: 'a long enough password', admin: false, threepids: [], external_ids: [], user_type: null }), // prettier-ignore
    status: 201,
    shape: account,
  },
  {
    call: 'PUT v2/users/:userId',
    target: () => `v2/users/${encode('@made:lethe.test')}`,
    body: () => ({ displayname: 'Changed', deactivated: false, admin: false, locked: true }),
    shape: account,
    then: answer => expect(answer).toMatchObject({ displayname: 'Changed', locked: true }),
  },
  { call: 'GET v1/whois/:userId', target: () => `v1/whois/${id()}`, shape: { user_id: 'string', devices: { [every]: { sessions: [{ connections: [{ last_seen: 'number?' }] }] } } } }, // prettier-ignore
  {
    call: 'PUT v1/suspend/:userId',
    target: () => `v1/suspend/${encode('@made:lethe.test')}`,
    body: () => ({ suspend: true }),
    shape: { [every]: 'boolean' },
  },
  {
    call: 'POST v1/reset_password/:userId',
    target: () => `v1/reset_password/${encode('@made:lethe.test')}`,
    body: () => ({ new_password: 'another long password', logout_devices: true }),
    shape: {},
  },
  { call: 'GET v2/users/:userId/devices', target: () => `v2/users/${id()}/devices`, shape: { devices: [device], total: 'number' } }, // prettier-ignore
  {
    call: 'POST v2/users/:userId/devices',
    target: () => `v2/users/${id()}/devices`,
    body: () => ({ device_id: 'KETESA' }),
    status: 201,
    shape: {},
  },
  {
    call: 'PUT v2/users/:userId/devices/:deviceId',
    target: () => `v2/users/${id()}/devices/KETESA`,
    body: () => ({ display_name: 'Named' }),
    shape: {},
  },
  { call: 'GET v2/users/:userId/devices/:deviceId', target: () => `v2/users/${id()}/devices/KETESA`, shape: device },
  { call: 'DELETE v2/users/:userId/devices/:deviceId', target: () => `v2/users/${id()}/devices/KETESA`, shape: {} },
  {
    call: 'POST v2/users/:userId/delete_devices',
    target: () => `v2/users/${id()}/delete_devices`,
    body: () => ({ devices: ['NONE'] }),
    shape: {},
  },
  { call: 'GET v1/users/:userId/joined_rooms', target: () => `v1/users/${id()}/joined_rooms`, shape: { joined_rooms: ['string'], total: 'number' } }, // prettier-ignore
  { call: 'GET v1/users/:userId/memberships', target: () => `v1/users/${id()}/memberships`, shape: { memberships: { [every]: 'string' } } }, // prettier-ignore
  { call: 'GET v1/users/:userId/pushers', target: () => `v1/users/${id()}/pushers`, shape: { pushers: [{ pushkey: 'string' }], total: 'number' } }, // prettier-ignore
  { call: 'GET v1/users/:userId/accountdata', target: () => `v1/users/${id()}/accountdata`, shape: { account_data: { global: { [every]: {} }, rooms: { [every]: {} } } } }, // prettier-ignore
  { call: 'GET v1/username_available', target: () => 'v1/username_available?username=free', shape: { available: 'boolean' } }, // prettier-ignore
  {
    call: 'POST v1/registration_tokens/new',
    target: () => 'v1/registration_tokens/new',
    body: () => ({ token: 'ketesa', uses_allowed: 2, expiry_time: server.clock.now() + 60_000 }),
    shape: token,
  },
  { call: 'GET v1/registration_tokens', target: () => 'v1/registration_tokens?valid=true', shape: { registration_tokens: [token] } }, // prettier-ignore
  { call: 'GET v1/registration_tokens/:token', target: () => 'v1/registration_tokens/ketesa', shape: token },
  { call: 'PUT v1/registration_tokens/:token', target: () => 'v1/registration_tokens/ketesa', body: () => ({ uses_allowed: null, expiry_time: null }), shape: token }, // prettier-ignore
  { call: 'DELETE v1/registration_tokens/:token', target: () => 'v1/registration_tokens/ketesa', shape: {} },
  {
    call: 'GET v1/rooms',
    target: () => 'v1/rooms?from=0&limit=10&search_term=room&order_by=name&dir=f&public_rooms=false&empty_rooms=false',
    shape: {
      rooms: [listedRoom],
      offset: 'number',
      total_rooms: 'number',
      next_batch: 'number?',
      prev_batch: 'number?',
    },
    then: answer => expect(objectsAt(answer, 'rooms').length).toBeGreaterThan(0),
  },
  { call: 'GET v1/rooms', target: () => 'v1/rooms?limit=0', shape: { rooms: [listedRoom], total_rooms: 'number' } },
  { call: 'GET v1/rooms/:roomId', target: () => `v1/rooms/${encode(room)}`, shape: { room_id: 'string', name: 'string?', avatar: 'string?', topic: 'string?', joined_members: 'number', joined_local_devices: 'number' } }, // prettier-ignore
  // Not encoded.
  { call: 'GET v1/rooms/:roomId/members', target: () => `v1/rooms/${room}/members`, shape: { members: ['string'], total: 'number' } }, // prettier-ignore
  { call: 'GET v1/rooms/:roomId/state', target: () => `v1/rooms/${room}/state`, shape: { state: [event] } },
  { call: 'GET v1/rooms/:roomId/block', target: () => `v1/rooms/${encode(room)}/block`, shape: { block: 'boolean' } },
  { call: 'PUT v1/rooms/:roomId/block', target: () => `v1/rooms/${encode(room)}/block`, body: () => ({ block: false }), shape: { block: 'boolean' } }, // prettier-ignore
  { call: 'POST v1/join/:roomIdOrAlias', target: () => `v1/join/${encode(room)}`, body: () => ({ user_id: admin.userId }), shape: { room_id: 'string' } }, // prettier-ignore
  { call: 'POST v1/rooms/:roomIdOrAlias/make_room_admin', target: () => `v1/rooms/${encode(room)}/make_room_admin`, body: () => ({ user_id: admin.userId }), shape: {} }, // prettier-ignore
  {
    // What its view of a room's messages does: the newest event, around it nothing, and back from there.
    call: 'GET v1/rooms/:roomId/timestamp_to_event',
    target: () => `v1/rooms/${encode(room)}/timestamp_to_event?ts=${server.clock.now()}&dir=b`,
    shape: { event_id: 'string', origin_server_ts: 'number' },
  },
  {
    call: 'GET v1/rooms/:roomId/context/:eventId',
    target: () => `v1/rooms/${encode(room)}/context/${encode(eventId)}?limit=0`,
    shape: { event, events_before: [event], events_after: [event], start: 'string', end: 'string', state: [event] },
    then: answer => expect(objectsAt(answer, 'events_before')).toEqual([]),
  },
  {
    call: 'GET v1/rooms/:roomId/messages',
    target: async () => {
      const context = await admin.get(`/_synapse/admin/v1/rooms/${encode(room)}/context/${encode(eventId)}?limit=0`)
      const filter = encode(JSON.stringify({ types: ['m.room.message'] }))
      return `v1/rooms/${encode(room)}/messages?from=${encode(String(context['end']))}&limit=50&dir=b&filter=${filter}`
    },
    shape: { chunk: [event], start: 'string', end: 'string?' },
    then: answer => expect(objectsAt(answer, 'chunk').map(each => each['event_id'])).toEqual([eventId]),
  },
  {
    call: 'GET v1/rooms/:roomId/hierarchy',
    target: () => `v1/rooms/${encode(room)}/hierarchy?limit=20&max_depth=2`,
    shape: {
      rooms: [{
        room_id: 'string', name: 'string?', topic: 'string?', canonical_alias: 'string?', avatar_url: 'string?', room_type: 'string?',
        num_joined_members: 'number', join_rule: 'string?', guest_can_join: 'boolean', world_readable: 'boolean',
        children_state: [{ type: 'string', state_key: 'string', content: { via: ['string'] }, sender: 'string', origin_server_ts: 'number' }],
      }],
      next_batch: 'string?',
    }, // prettier-ignore
    then: answer => expect(objectsAt(answer, 'rooms')).toHaveLength(2),
  },
  { call: 'GET v1/fetch_event/:eventId', target: () => `v1/fetch_event/${encode(eventId)}`, shape: { event } },
  { call: 'GET v1/statistics/database/rooms', target: () => 'v1/statistics/database/rooms', shape: { rooms: [{ room_id: 'string', estimated_size: 'number' }] } }, // prettier-ignore
  {
    call: 'GET v1/statistics/users/media',
    target: () => 'v1/statistics/users/media?from=0&limit=50&search_term=&order_by=media_length&dir=b',
    shape: { users: [{ user_id: 'string', displayname: 'string?', media_count: 'number', media_length: 'number' }], total: 'number' }, // prettier-ignore
  },
  { call: 'GET v1/room/:roomId/media', target: () => `v1/room/${room}/media`, shape: { local: ['string'], remote: ['string'] } }, // prettier-ignore
  {
    call: 'GET v1/users/:userId/media',
    target: () => `v1/users/${id()}/media?from=0&limit=10&order_by=created_ts&dir=b`,
    shape: { media: [userMedia], total: 'number', next_token: 'number?' },
  },
  { call: 'GET v1/media/:serverName/:mediaId', target: () => `v1/media/lethe.test/${media[0] ?? ''}`, shape: { media_info: userMedia } }, // prettier-ignore
  { call: 'POST v1/media/protect/:mediaId', target: () => `v1/media/protect/${media[0] ?? ''}`, shape: {} },
  { call: 'POST v1/media/unprotect/:mediaId', target: () => `v1/media/unprotect/${media[0] ?? ''}`, shape: {} },
  { call: 'POST v1/media/quarantine/:serverName/:mediaId', target: () => `v1/media/quarantine/lethe.test/${media[0] ?? ''}`, shape: {} }, // prettier-ignore
  { call: 'POST v1/media/unquarantine/:serverName/:mediaId', target: () => `v1/media/unquarantine/lethe.test/${media[0] ?? ''}`, shape: {} }, // prettier-ignore
  { call: 'POST v1/room/:roomId/media/quarantine', target: () => `v1/room/${encode(room)}/media/quarantine`, body: () => ({}), shape: { num_quarantined: 'number' } }, // prettier-ignore
  { call: 'POST v1/user/:userId/media/quarantine', target: () => `v1/user/${id()}/media/quarantine`, body: () => ({}), shape: { num_quarantined: 'number' } }, // prettier-ignore
  { call: 'DELETE v1/media/:serverName/:mediaId', target: () => `v1/media/lethe.test/${media[0] ?? ''}`, shape: deletedMedia }, // prettier-ignore
  { call: 'POST v1/media/delete', target: () => `v1/media/delete?before_ts=${server.clock.now()}&size_gt=1000000&keep_profiles=true`, shape: deletedMedia }, // prettier-ignore
  { call: 'DELETE v1/users/:userId/media', target: () => `v1/users/${id()}/media`, shape: deletedMedia },
  { call: 'POST v1/purge_media_cache', target: () => `v1/purge_media_cache?before_ts=${server.clock.now()}`, shape: { deleted: 'number' } }, // prettier-ignore
  { call: 'GET v1/event_reports', target: () => 'v1/event_reports?from=0&limit=50&order_by=received_ts&dir=b', shape: { event_reports: [eventReport], total: 'number', next_token: 'number?' } }, // prettier-ignore
  { call: 'GET v1/event_reports/:reportId', target: async () => `v1/event_reports/${await firstId('event_reports', 'event_reports')}`, shape: { id: 'number', received_ts: 'number', room_id: 'string', event_id: 'string', user_id: 'string', event_json: event } }, // prettier-ignore
  { call: 'DELETE v1/event_reports/:reportId', target: async () => `v1/event_reports/${await firstId('event_reports', 'event_reports')}`, shape: {} }, // prettier-ignore
  { call: 'GET v1/user_reports', target: () => 'v1/user_reports?from=0&limit=50&dir=b', shape: { user_reports: [userReport], total: 'number' }, then: answer => expect(answer['total']).toBe(1) }, // prettier-ignore
  { call: 'GET v1/user_reports/:reportId', target: async () => `v1/user_reports/${await firstId('user_reports', 'user_reports')}`, shape: userReport }, // prettier-ignore
  { call: 'DELETE v1/user_reports/:reportId', target: async () => `v1/user_reports/${await firstId('user_reports', 'user_reports')}`, shape: {} }, // prettier-ignore
  {
    call: 'POST v1/user/:userId/redact',
    target: () => `v1/user/${id()}/redact`,
    body: () => ({ rooms: [] }),
    shape: { redact_id: 'string' },
    then: async answer => {
      redactId = String(answer['redact_id'])
      await untilEnded(() => admin.get(`/_synapse/admin/v1/user/redact_status/${redactId}`))
    },
  },
  { call: 'GET v1/user/redact_status/:redactId', target: () => `v1/user/redact_status/${redactId}`, shape: { status: 'string', failed_redactions: { [every]: 'string' } } }, // prettier-ignore
  {
    call: 'POST v1/purge_history/:roomId',
    target: () => `v1/purge_history/${encode(room)}`,
    body: () => ({ purge_up_to_ts: server.clock.now(), delete_local_events: true }),
    shape: { purge_id: 'string' },
    then: answer => void (purgeId = String(answer['purge_id'])),
  },
  { call: 'GET v1/purge_history_status/:purgeId', target: () => `v1/purge_history_status/${purgeId}`, shape: { status: 'string', error: 'string?' } }, // prettier-ignore
  {
    call: 'DELETE v2/rooms/:roomId',
    target: () => `v2/rooms/${encode(room)}`,
    body: () => ({ block: false, purge: true, force_purge: false }),
    shape: { delete_id: 'string' },
    then: async answer => {
      deleteId = String(answer['delete_id'])
      await untilEnded(() => admin.get(`/_synapse/admin/v2/rooms/delete_status/${deleteId}`))
    },
  },
  { call: 'GET v2/rooms/delete_status/:deleteId', target: () => `v2/rooms/delete_status/${deleteId}`, shape: { status: 'string', error: 'string?', shutdown_room: { kicked_users: ['string'], failed_to_kick_users: ['string'], local_aliases: ['string'], new_room_id: 'string?' } } }, // prettier-ignore
  { call: 'GET v1/scheduled_tasks', target: () => 'v1/scheduled_tasks', shape: { scheduled_tasks: [{ id: 'string', action: 'string', status: 'string', timestamp_ms: 'number', resource_id: 'string?', result: {}, error: 'string?' }] } }, // prettier-ignore
  { call: 'POST v1/users/:userId/login', target: () => `v1/users/${id()}/login`, body: () => ({}), shape: { access_token: 'string' } }, // prettier-ignore
  { call: 'POST v1/deactivate/:userId', target: () => `v1/deactivate/${id()}`, body: () => ({ erase: true }), shape: { id_server_unbind_result: 'string' } }, // prettier-ignore
]

async function ask(method: string, target: string, body: JsonObject | undefined, isOpen: boolean) {
  return exchange(server.url, {
    method,
    target: `/_synapse/admin/${target}`,
    token: isOpen ? undefined : admin.accessToken,
    headers: { origin: 'https://ketesa.example.org' },
    ...(body === undefined ? {} : { body }),
  })
}

const methodOf = (call: string) => call.slice(0, call.indexOf(' '))

describe('Ketesa', () => {
  it.each(replays.map((replay, index) => [`${String(index + 1).padStart(2, '0')} ${replay.call}`, replay] as const))(
    'is answered as it expects: %s',
    async (_, { call, target, body, shape, status = 200, isOpen, then }) => {
      const done = await ask(methodOf(call), await target(), body?.(), isOpen === true)
      expect([done.status, done.bytes.toString().slice(0, 200)]).toEqual([status, expect.anything()])
      expect(shapeProblems(done.json, shape)).toEqual([])
      expect(done.headers['access-control-allow-origin']).toBe('*')
      await then?.(isJsonObject(done.json) ? done.json : {})
    },
  )

  it('may ask from another origin', async () => {
    const done = await exchange(server.url, {
      method: 'OPTIONS',
      target: '/_synapse/admin/v3/users',
      headers: { origin: 'https://ketesa.example.org', 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
    }) // prettier-ignore
    expect(done.status).toBeLessThan(300)
    expect(String(done.headers['access-control-allow-headers']).toLowerCase()).toContain('authorization')
  })

  it('has no call of the first two tiers that is answered and not replayed', () => {
    const replayed = new Set(replays.map(({ call }) => call))
    const wanted = adminCalls.filter(({ tier, by, why }) => tier < 3 && by.includes('Ketesa') && why === undefined)
    expect(wanted.map(({ call }) => call).filter(call => !replayed.has(call))).toEqual([])
    expect(wanted.length).toBeGreaterThan(60)
  })

  it('would be seen to miss a field', () => {
    expect(shapeProblems({ users: [{ name: 1 }] }, { users: [{ name: 'string', admin: 'boolean' }], total: 'number' })).toEqual([
      'the answer.users[0].name is 1 and no string',
      'the answer.users[0].admin is undefined and no boolean',
      'the answer.total is undefined and no number',
    ]) // prettier-ignore
  })
})

describe('the table of calls', () => {
  const shapeOf = (call: string) => call.replace(/:\w+/g, '{}')
  const mounted = adminRoutes.flatMap(
    ({ method, paths }) =>
    paths.filter(each => each.startsWith('/_synapse/admin/')).map(each => `${method} ${each.slice('/_synapse/admin/'.length)}`), // prettier-ignore
  )

  it('has every call once, with a reason for each that is not answered', () => {
    const shapes = adminCalls.map(({ call }) => shapeOf(call))
    expect(shapes.filter((shape, index) => shapes.indexOf(shape) !== index)).toEqual([])
    const answeredHere = new Set(mounted.map(shapeOf))
    const wrong = adminCalls.filter(({ call, why }) => answeredHere.has(shapeOf(call)) !== (why === undefined))
    expect(wrong.map(({ call }) => call)).toEqual([])
    const listed = new Set(shapes)
    expect(mounted.filter(call => !listed.has(shapeOf(call)))).toEqual([])
  })

  it('stands in docs/admin.md (UPDATE_DOCS=1 writes it)', () => {
    const file = join(repositoryFolder, 'docs/admin.md')
    const page = readFileSync(file, 'utf8')
    const [start, end] = ['<!-- calls -->\n\n', '\n\n<!-- /calls -->']
    const [from, to] = [page.indexOf(start) + start.length, page.indexOf(end)]
    expect(page.indexOf(start)).toBeGreaterThan(0)
    const written = page.slice(0, from) + callsTable() + page.slice(to)
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, written)
    expect(readFileSync(file, 'utf8')).toBe(written)
  })

  it('is told apart from what is not there: that answers M_UNRECOGNIZED', async () => {
    for (const { call, why } of adminCalls) {
      if (why === undefined) continue
      const done = await ask(methodOf(call), call.slice(call.indexOf(' ') + 1).replace(/:\w+/g, 'x'), undefined, false)
      expect([call, done.status, at(done.json, 'errcode')]).toEqual([call, expect.any(Number), 'M_UNRECOGNIZED'])
    }
  })
})
