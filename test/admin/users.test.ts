import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { jsonBody } from '../harness/exchange.ts'
import { at, Caller, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { errcodeOf } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

let server: TestServer
let admin: Person

beforeAll(async () => {
  server = await startTestServer()
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const v2 = (rest: string) => `/_synapse/admin/v2${rest}`
const names = (answer: JsonObject) => objectsAt(answer, 'users').map(user => user['name'])

describe('the list of users', () => {
  it('has every account in the fields that tools read, times in milliseconds', async () => {
    const user = await register(server, 'listed')
    await user.put(path`/profile/${user.userId}/displayname`, { displayname: 'Zoë' })
    const [listed] = objectsAt(await admin.get(v2('/users'), { user_id: user.userId }), 'users')
    expect(listed).toMatchObject({
      name: user.userId,
      displayname: 'Zoë',
      avatar_url: null,
      admin: false,
      is_guest: false,
      deactivated: false,
      shadow_banned: false,
      user_type: null,
      locked: false,
    })
    expect(Number(listed?.['creation_ts'])).toBeGreaterThan(1e12)
    expect(Number(listed?.['creation_ts']) % 86_400_000).toBe(0)
    expect(names(await admin.get(v2('/users'), { name: 'zOË' }))).toEqual([user.userId])
    expect(names(await admin.get(v2('/users'), { name: 'lethe.test' }))).toEqual([])
    // Where both are given the name counts.
    expect(names(await admin.get(v2('/users'), { name: 'zOË', user_id: 'nobody' }))).toEqual([user.userId])
  })

  it('comes in pages', async () => {
    for (let count = 0; count < 3; count++) await register(server, `paged${count}`)
    const seen: unknown[] = []
    let from: string | undefined = '0'
    while (from !== undefined) {
      const page: JsonObject = await admin.get(v2('/users'), { name: 'paged', limit: 2, from })
      expect(page['total']).toBe(3)
      seen.push(...names(page))
      from = page['next_token'] as string | undefined
    }
    expect(seen).toEqual(['@paged0:lethe.test', '@paged1:lethe.test', '@paged2:lethe.test'])
    const backwards = await admin.get(v2('/users'), { name: 'paged', dir: 'b', order_by: 'name' })
    expect(names(backwards)).toEqual([...seen].reverse())
    expect((await admin.request('GET', v2('/users?order_by=password'))).status).toBe(400)
    for (const order of ['user_type', 'shadow_banned']) {
      expect(names(await admin.get(v2('/users'), { user_id: '@paged', order_by: order }))).toEqual(seen)
    }
  })

  it('leaves out the deactivated in version 2 and tells them apart in version 3', async () => {
    const gone = await register(server, 'gonelist')
    await register(server, 'herelist')
    await admin.post(v1(path`/deactivate/${gone.userId}`))
    const of = async (version: string, query: JsonObject) =>
      names(await admin.get(`/_synapse/admin/${version}/users`, { name: 'list', ...(query as Record<string, string>) }))
    expect(await of('v2', {})).not.toContain(gone.userId)
    expect(await of('v2', { deactivated: true })).toContain(gone.userId)
    expect(await of('v3', {})).toContain(gone.userId)
    expect(await of('v3', { deactivated: true })).toEqual([gone.userId])
    expect(await of('v3', { deactivated: false })).not.toContain(gone.userId)
    expect(names(await admin.get('/_synapse/admin/v3/users', { admins: true }))).toEqual([admin.userId])
  })
})

describe('an account', () => {
  it('is shown with its making in seconds', async () => {
    const user = await register(server)
    const shown = await admin.get(v2(path`/users/${user.userId}`))
    expect(shown).toMatchObject({ name: user.userId, threepids: [], external_ids: [], erased: false })
    expect(Number(shown['creation_ts'])).toBeLessThan(1e11)
  })

  it('is not found where there is none, and not looked for elsewhere', async () => {
    expect((await admin.request('GET', v2(path`/users/${'@nobody:lethe.test'}`))).status).toBe(404)
    expect((await admin.request('GET', v2(path`/users/${'@x:other.test'}`))).status).toBe(400)
  })

  it('is made by PUT, and can sign in then', async () => {
    const userId = '@made:lethe.test'
    const body = { password: 'a new password', displayname: 'Made', admin: true }
    const done = await admin.request('PUT', v2(path`/users/${userId}`), body)
    expect(done.status).toBe(201)
    expect(done.json).toMatchObject({ name: userId, displayname: 'Made', admin: true })
    const login = await new Caller(server.url).post('/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'made' },
      password: 'a new password',
    })
    expect(login['user_id']).toBe(userId)
  })

  it('is changed by PUT, and what is absent stays', async () => {
    const user = await register(server)
    await admin.put(v2(path`/users/${user.userId}`), { displayname: 'One', locked: true })
    expect(errcodeOf((await user.request('GET', '/account/whoami')).json)).toBe('M_USER_LOCKED')
    const done = await admin.put(v2(path`/users/${user.userId}`), { locked: false })
    expect(done).toMatchObject({ displayname: 'One', locked: false })
    await user.get('/account/whoami')
  })

  it('is refused what cannot be', async () => {
    const put = async (userId: string, body: JsonObject) =>
      (await admin.request('PUT', v2(path`/users/${userId}`), body)).status
    expect(await put('@UPPER:lethe.test', {})).toBe(400)
    expect(await put('@x:other.test', {})).toBe(400)
    expect(await put('@weak:lethe.test', { password: 'short' })).toBe(400)
    expect(await put('@threepid:lethe.test', { threepids: [{ medium: 'email', address: 'a@b.c' }] })).toBe(400)
    expect(await put(admin.userId, { admin: false })).toBe(400)
    const gone = await register(server)
    await admin.post(v1(path`/deactivate/${gone.userId}`), { erase: true })
    expect(await put(gone.userId, { deactivated: false, password: 'a new password' })).toBe(403)
    // Tools write back whole what they have read.
    expect(await put(gone.userId, { deactivated: true, displayname: '', password: null })).toBe(200)
    expect(await put(gone.userId, { deactivated: true, displayname: 'Back again' })).toBe(403)
  })

  it('is not made or changed by half when some of what is asked for cannot be', async () => {
    const put = async (userId: string, body: JsonObject) =>
      (await admin.request('PUT', v2(path`/users/${userId}`), body)).status
    const user = await register(server)
    const password = 'another good password'
    for (const wrong of [
      { displayname: 'x'.repeat(257) },
      { avatar_url: 'x'.repeat(1_001) },
      { deactivated: true, locked: true },
    ]) {
      // prettier-ignore
      expect(await put('@half:lethe.test', { password, ...wrong })).toBe(400)
      expect((await admin.request('GET', v2('/users/@half:lethe.test'))).status).toBe(404)
      expect(await put(user.userId, { password, admin: true, ...wrong })).toBe(400)
    }
    // Still signed in, and no administrator.
    await user.get('/account/whoami')
    expect(await admin.get(v2(path`/users/${user.userId}`))).toMatchObject({ admin: false, locked: false })
  })

  it('gets and loses the rights of an administrator, but not one’s own', async () => {
    const user = await register(server)
    const rights = v1(path`/users/${user.userId}/admin`)
    expect(await admin.get(rights)).toEqual({ admin: false })
    expect(await admin.put(rights, { admin: true })).toEqual({})
    expect(await user.get(rights)).toEqual({ admin: true })
    expect((await user.request('PUT', rights, { admin: false })).status).toBe(400)
    await admin.put(rights, { admin: false })
    expect((await user.request('GET', rights)).status).toBe(403)
  })

  it('gets a new password, which signs its devices out unless told otherwise', async () => {
    const user = await register(server)
    const reset = v1(path`/reset_password/${user.userId}`)
    await admin.post(reset, { new_password: 'password number two', logout_devices: false })
    await user.get('/account/whoami')
    await admin.post(reset, { new_password: 'password number three' })
    expect((await user.request('GET', '/account/whoami')).status).toBe(401)
    expect((await admin.request('POST', reset, { new_password: 'short' })).status).toBe(400)
  })

  it('is suspended and locked, under Synapse’s path and the specification’s', async () => {
    const user = await register(server)
    expect(await admin.put(v1(path`/suspend/${user.userId}`), { suspend: true })).toEqual({
      [`user_${user.userId}_suspended`]: true,
    })
    const suspended = path`/_matrix/client/v1/admin/suspend/${user.userId}`
    expect(await admin.get(suspended)).toEqual({ suspended: true })
    expect((await user.request('POST', '/createRoom', {})).status).toBe(403)
    expect(await admin.put(suspended, { suspended: false })).toEqual({ suspended: false })
    await user.createRoom()
    const locked = path`/_matrix/client/v1/admin/lock/${user.userId}`
    expect(await admin.put(locked, { locked: true })).toEqual({ locked: true })
    expect(await admin.get(locked)).toEqual({ locked: true })
    expect((await user.request('GET', '/account/whoami')).status).toBe(401)
    for (const own of ['suspend', 'lock']) {
      const target = path`/_matrix/client/v1/admin/${own}/${admin.userId}`
      expect((await admin.request('PUT', target, { suspended: true, locked: true })).status).toBe(403)
    }
  })

  it('is deactivated: it cannot sign in and is out of its rooms', async () => {
    const user = await register(server)
    const room = await user.createRoom({ preset: 'public_chat' })
    await admin.join(room)
    expect(await admin.post(v1(path`/deactivate/${user.userId}`))).toEqual({ id_server_unbind_result: 'success' })
    expect((await user.request('GET', '/account/whoami')).status).toBe(401)
    expect(at(await admin.state(room, 'm.room.member', user.userId), 'membership')).toBe('leave')
    expect(await admin.get(v2(path`/users/${user.userId}`))).toMatchObject({ deactivated: true, erased: false })
  })
})

describe('the devices of a user', () => {
  it('are listed, named, made and signed out, without addresses', async () => {
    const user = await register(server)
    const second = await user.login()
    const devices = v2(path`/users/${user.userId}/devices`)
    const listed = await admin.get(devices)
    expect(listed['total']).toBe(2)
    expect(objectsAt(listed, 'devices')[0]).toMatchObject({
      user_id: user.userId,
      last_seen_ip: null,
      display_name: null,
    })
    await admin.put(`${devices}/${second.deviceId}`, { display_name: 'Phone' })
    expect(await admin.get(`${devices}/${second.deviceId}`)).toMatchObject({ display_name: 'Phone' })
    expect((await admin.request('POST', devices, { device_id: 'HARDWARE' })).status).toBe(201)
    await admin.delete(`${devices}/${second.deviceId}`)
    expect((await second.request('GET', '/account/whoami')).status).toBe(401)
    await admin.post(v2(path`/users/${user.userId}/delete_devices`), { devices: ['HARDWARE', user.deviceId] })
    expect(await admin.get(devices)).toEqual({ devices: [], total: 0 })
    expect((await admin.request('GET', `${devices}/NONE`)).status).toBe(404)
  })

  it('are told by whois, under both paths, without addresses or agents', async () => {
    const user = await register(server)
    const told = await admin.get(v1(path`/whois/${user.userId}`))
    expect(told).toEqual(await admin.get(path`/_matrix/client/v3/admin/whois/${user.userId}`))
    const connections = objectsAt(told, 'devices', user.deviceId, 'sessions', 0, 'connections')
    expect(connections.map(each => Object.keys(each))).toEqual([['last_seen']])
    expect((await user.request('GET', path`/_matrix/client/v3/admin/whois/${user.userId}`)).status).toBe(403)
  })
})

describe('what a user is in', () => {
  it('is told by room', async () => {
    const user = await register(server)
    const [joined, left] = [await user.createRoom(), await user.createRoom()]
    await user.leave(left)
    expect(await admin.get(v1(path`/users/${user.userId}/joined_rooms`))).toEqual({ joined_rooms: [joined], total: 1 })
    expect(await admin.get(v1(path`/users/${user.userId}/memberships`))).toEqual({
      memberships: { [joined]: 'join', [left]: 'leave' },
    })
  })

  it('says nothing of their own data, and lets nobody be them, unless the operator allows it', async () => {
    const user = await register(server)
    const data = v1(path`/users/${user.userId}/accountdata`)
    const login = v1(path`/users/${user.userId}/login`)
    expect(errcodeOf((await admin.request('GET', data)).json)).toBe('M_FORBIDDEN')
    expect(errcodeOf((await admin.request('POST', login, {})).json)).toBe('M_FORBIDDEN')
    const tried = objectsAt(await admin.get('/_lethe/admin/v1/audit', { target: [user.userId] }), 'uses')
    expect(tried.map(use => use['endpoint'])).toEqual([
      '/_synapse/admin/v1/users/:userId/login',
      '/_synapse/admin/v1/users/:userId/accountdata',
    ])
  })

  it('is open to administrators where the operator allows it, and seen by the user', async () => {
    const open = await startTestServer({ settings: { admin: { content_access: true } } })
    const root = await registerAdmin(open)
    const user = await register(open)
    await user.put(path`/user/${user.userId}/account_data/org.example`, { a: 1 })
    const data = await root.get(v1(path`/users/${user.userId}/accountdata`))
    expect(at(data, 'account_data', 'global', 'org.example')).toEqual({ a: 1 })
    const token = text(await root.post(v1(path`/users/${user.userId}/login`)), 'access_token')
    const asUser = new Caller(open.url, token)
    expect((await asUser.get('/account/whoami'))['user_id']).toBe(user.userId)
    const devices = objectsAt(await user.get('/devices'), 'devices').map(device => device['display_name'])
    expect(devices).toContain('An administrator of the server')
    await open.clock.advance(3_600_001)
    expect((await asUser.request('GET', '/account/whoami')).status).toBe(401)
    await open.close()
  })
})

describe('a name', () => {
  it('is free or taken', async () => {
    const user = await register(server)
    const ask = (username: string) =>
      admin.request('GET', v1('/username_available'), undefined, { query: { username } })
    expect((await ask('nobodyhasit')).json).toEqual({ available: true })
    expect(errcodeOf((await ask(user.userId.slice(1).split(':')[0] ?? '')).json)).toBe('M_USER_IN_USE')
  })
})

describe('registration tokens', () => {
  const tokens = v1('/registration_tokens')

  it('are made, listed, changed and taken back', async () => {
    expect(await admin.post(`${tokens}/new`, { token: 'abcd', uses_allowed: 1 })).toEqual({
      token: 'abcd', uses_allowed: 1, pending: 0, completed: 0, expiry_time: null,
    }) // prettier-ignore
    expect(text(await admin.post(`${tokens}/new`, { length: 20 }), 'token')).toHaveLength(20)
    expect(objectsAt(await admin.get(tokens), 'registration_tokens')).toHaveLength(2)
    const expiry = server.clock.now() + 1_000
    expect(await admin.put(`${tokens}/abcd`, { expiry_time: expiry })).toMatchObject({
      uses_allowed: 1,
      expiry_time: expiry,
    })
    await server.clock.advance(2_000)
    const valid = async (is: boolean) =>
      objectsAt(await admin.get(tokens, { valid: is }), 'registration_tokens').map(each => each['token'])
    expect(await valid(false)).toEqual(['abcd'])
    expect(await valid(true)).toHaveLength(1)
    expect(await admin.delete(`${tokens}/abcd`)).toEqual({})
    expect((await admin.request('GET', `${tokens}/abcd`)).status).toBe(404)
  })

  it('let people register', async () => {
    const closed = await startTestServer({ settings: { registration: { mode: 'open' } } })
    const root = await registerAdmin(closed)
    await root.post(`${tokens}/new`, { token: 'come.in', uses_allowed: 1 })
    const byToken = await closed.restart({ registration: { mode: 'token' } })
    const nobody = new Caller(byToken.url)
    const body = { username: 'guest1', password: 'a long password' }
    const asked = await nobody.request('POST', '/register', body)
    const auth = { type: 'm.login.registration_token', token: 'come.in', session: text(jsonBody(asked), 'session') }
    expect((await nobody.request('POST', '/register', { ...body, auth: { ...auth, token: 'other' } })).status).toBe(401)
    expect(text(await nobody.post('/register', { ...body, auth }), 'user_id')).toBe('@guest1:lethe.test')
    await byToken.close()
  })

  it.each([
    ['a token that is none', { token: 'a b' }],
    ['one that is too long', { token: 'x'.repeat(65) }],
    ['a time that is past', { expiry_time: 1 }],
    ['a negative number of uses', { uses_allowed: -1 }],
    ['a length of nothing', { length: 0 }],
  ])('refuse %s', async (_, body) => {
    expect((await admin.request('POST', `${tokens}/new`, body)).status).toBe(400)
  })

  it('are made once', async () => {
    await admin.post(`${tokens}/new`, { token: 'twice' })
    expect((await admin.request('POST', `${tokens}/new`, { token: 'twice' })).status).toBe(400)
    expect((await admin.request('PUT', `${tokens}/never`, { uses_allowed: 1 })).status).toBe(404)
    expect((await admin.request('DELETE', `${tokens}/never`)).status).toBe(404)
  })
})
