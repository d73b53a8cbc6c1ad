import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { nobody, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

const auth = (person: Person, password = person.password) => ({ type: 'm.login.password', password })
const statusOf = async (person: Person) => (await person.request('GET', '/account/whoami')).status
const login = (user: string, password: string) =>
  nobody(server).request('POST', '/login', { type: 'm.login.password', user, password })

describe('changing the password', () => {
  it('logs the other devices out, and not the one that asks', async () => {
    const person = await register(server)
    const other = await person.login()
    await person.post('/account/password', { new_password: 'a new password', auth: auth(person) })
    expect(await statusOf(person)).toBe(200)
    expect(await statusOf(other)).toBe(401)
    expect((await login(person.userId, person.password)).status).toBe(403)
    expect((await login(person.userId, 'a new password')).status).toBe(200)
  })

  it('leaves the other devices when told to', async () => {
    const person = await register(server)
    const other = await person.login()
    const body = { new_password: 'a new password', logout_devices: false, auth: auth(person) }
    await person.post('/account/password', body)
    expect(await statusOf(other)).toBe(200)
  })

  it('needs the present password, and a good new one', async () => {
    const person = await register(server)
    const wrong = await person.request('POST', '/account/password', {
      new_password: 'a new password', auth: auth(person, 'wrong'),
    }) // prettier-ignore
    expect(wrong.status).toBe(401)
    expect(wrong.json).toMatchObject({ errcode: 'M_FORBIDDEN' })
    const weak = await person.request('POST', '/account/password', { new_password: 'weak', auth: auth(person) })
    expect(weak.json).toMatchObject({ errcode: 'M_WEAK_PASSWORD' })
    expect((await login(person.userId, person.password)).status).toBe(200)
  })

  it('needs a token', async () => {
    const done = await nobody(server).request('POST', '/account/password', { new_password: 'a new password' })
    expect(done.status).toBe(401)
    expect(done.json).toMatchObject({ errcode: 'M_MISSING_TOKEN' })
  })

  it('leaves neither password in the database', async () => {
    const person = await register(server)
    const body = { new_password: 'canary-7f3a-new' }
    const asked = await person.request('POST', '/account/password', body)
    expect(asked.status).toBe(401)
    await person.post('/account/password', { ...body, auth: auth(person) })
    const tables = await server.ctx.db.pool.query<{ name: string }>(
      "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'",
    )
    for (const { name } of tables.rows) {
      const found = await server.ctx.db.pool.query(`SELECT t::text AS line FROM ${name} t`)
      const text = JSON.stringify(found.rows)
      for (const secret of ['canary-7f3a-new', person.password, person.accessToken]) expect(text).not.toContain(secret)
    }
  })
})

describe('deactivating an account', () => {
  it("needs the password, ends every session, deletes what was the account's own, and keeps its name", async () => {
    const person = await register(server, 'leaver')
    const other = await person.login({ refresh_token: true })
    await person.put(`/profile/${person.userId}/displayname`, { displayname: 'canary-name' })
    await person.put(`/user/${person.userId}/account_data/org.example`, { secret: 'canary-data' })
    await person.post(`/user/${person.userId}/filter`, { room: { timeline: { types: ['canary-filter'] } } })
    expect((await person.request('POST', '/account/deactivate', {})).status).toBe(401)
    const done = await person.post('/account/deactivate', { auth: auth(person), erase: true })
    expect(done).toEqual({ id_server_unbind_result: 'success', 'org.lethe.receipt': expect.stringMatching(/^\/receipt\/lte_/) }) // prettier-ignore
    expect(await statusOf(person)).toBe(401)
    expect(await statusOf(other)).toBe(401)
    expect((await nobody(server).request('POST', '/refresh', { refresh_token: other.refreshToken })).status).toBe(401)
    expect((await login('leaver', person.password)).status).toBe(403)
    const again = await nobody(server).request('POST', '/register', {
      username: 'leaver',
      auth: { type: 'm.login.dummy' },
    })
    expect(again.json).toMatchObject({ errcode: 'M_USER_IN_USE' })
    for (const table of ['devices', 'access_tokens', 'refresh_tokens', 'profiles', 'account_data', 'filters']) {
      const found = await server.ctx.db.pool.query(`SELECT t::text AS line FROM ${table} t`)
      expect(JSON.stringify(found.rows)).not.toContain('canary')
    }
    const { rows } = await server.ctx.db.pool.query(
      "SELECT is_deactivated, is_erased, password_hash FROM accounts JOIN users USING (user_number) WHERE user_id = '@leaver:lethe.test'",
    )
    expect(rows).toEqual([{ is_deactivated: true, is_erased: true, password_hash: null }])
  })

  it('leaves every room', async () => {
    const person = await register(server)
    const friend = await register(server)
    const room = await friend.createRoom({ preset: 'public_chat' })
    const other = await friend.createRoom({ invite: [person.userId] })
    await person.join(room)
    await person.post('/account/deactivate', { auth: auth(person) })
    expect(await friend.state(room, 'm.room.member', person.userId)).toMatchObject({ membership: 'leave' })
    expect(await friend.state(other, 'm.room.member', person.userId)).toMatchObject({ membership: 'leave' })
  })

  it('needs a token', async () => {
    expect((await nobody(server).request('POST', '/account/deactivate', {})).json).toMatchObject({
      errcode: 'M_MISSING_TOKEN',
    })
  })
})

describe('contacts', () => {
  it('are none, and cannot be added', async () => {
    const person = await register(server)
    expect(await person.get('/account/3pid')).toEqual({ threepids: [] })
    const add = await person.request('POST', '/account/3pid/add', { sid: 'x', client_secret: 'y' })
    expect(add.json).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  })
})

describe('TURN credentials', () => {
  it('are none where there is no TURN server', async () => {
    const person = await register(server)
    // Not through the harness, which holds answers against the spec: an empty object is what clients know from Synapse,
    // and the spec has no answer for a server without TURN.
    const headers = { authorization: `Bearer ${person.accessToken}` }
    const answer = await fetch(`${server.url}/_matrix/client/v3/voip/turnServer`, { headers })
    expect(await answer.json()).toEqual({})
  })

  it('are good for a while and do not name the user', async () => {
    const uris = ['turn:turn.lethe.test']
    const withTurn = await startTestServer({ settings: { turn: { uris, shared_secret: 'shared', ttl: '1h' } } })
    try {
      const person = await register(withTurn, 'caller')
      const answer = await person.get('/voip/turnServer')
      expect(answer).toMatchObject({ uris, ttl: 3600, password: expect.any(String) })
      expect(answer.username).toMatch(new RegExp(`^${Math.floor(withTurn.clock.now() / 1000) + 3600}:[A-Z]{12}$`))
    } finally {
      await withTurn.close()
    }
  })
})
