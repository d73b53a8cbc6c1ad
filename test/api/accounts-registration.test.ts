import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createHmac } from 'node:crypto'
import { claimUserIds } from '../../src/accounts/registration.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { transaction } from '../../src/storage/database.ts'
import { insertRegistrationToken, registrationToken } from '../../src/storage/registration-tokens.ts'
import { nobody, Person, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const dummy = { type: 'm.login.dummy' }
const password = 'correct horse battery'

describe('open registration', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ settings: { registration: { shared_secret: 'complement' } } })
  })
  afterAll(() => server.close())

  const attempt = (body: JsonObject, query = {}) => nobody(server).request('POST', '/register', body, { query })

  it('makes an account and logs it in with one request', async () => {
    const answer = await nobody(server).post('/register', { username: 'alice', password, auth: dummy })
    expect(answer).toMatchObject({ user_id: '@alice:lethe.test' })
    const alice = new Person(server.url, answer, password)
    expect(await alice.get('/account/whoami')).toEqual({
      user_id: '@alice:lethe.test',
      device_id: alice.deviceId,
      is_guest: false,
    })
  })

  it('says which flows there are when nothing is proved', async () => {
    const done = await attempt({})
    expect(done.status).toBe(401)
    expect(done.json).toEqual({ flows: [{ stages: ['m.login.dummy'] }], params: {}, session: expect.any(String) })
  })

  it('takes small letters for capitals', async () => {
    const answer = await nobody(server).post('/register', { username: 'user-UPPER', password, auth: dummy })
    expect(answer.user_id).toBe('@user-upper:lethe.test')
  })

  it.each(['', 'with space', 'a:b', 'ü', '_bridge', 'a\u0000b', 'a\nb', 'a,b', '@a', 'x'.repeat(250)])(
    'refuses the username %j before asking for proof',
    async username => {
      const done = await attempt({ username, password })
      expect(done.status).toBe(400)
      expect(done.json).toMatchObject({ errcode: 'M_INVALID_USERNAME' })
    },
  )

  it('refuses a name that is taken, and says so before asking for proof', async () => {
    await nobody(server).post('/register', { username: 'taken', password, auth: dummy })
    expect((await attempt({ username: 'taken', password })).json).toMatchObject({ errcode: 'M_USER_IN_USE' })
    const available = await nobody(server).request('GET', '/register/available?username=Taken')
    expect(available.status).toBe(400)
    expect(available.json).toMatchObject({ errcode: 'M_USER_IN_USE' })
    expect(await nobody(server).get('/register/available', { username: 'not-taken' })).toEqual({ available: true })
  })

  it('gives one name to one of two who ask at once', async () => {
    const both = await Promise.all(
      Array.from({ length: 4 }, () => attempt({ username: 'raced', password, auth: dummy })),
    )
    expect(both.map(done => done.status).sort()).toEqual([200, 400, 400, 400])
    const refused = both.filter(done => done.status === 400)
    for (const done of refused) expect(done.json).toMatchObject({ errcode: 'M_USER_IN_USE' })
  })

  it('draws a pseudonym for whoever wants no name, and needs no password', async () => {
    const answer = await nobody(server).post('/register', { auth: dummy })
    expect(answer.user_id).toMatch(/^@[a-z]+-[a-z]+-\d{4}:lethe\.test$/)
  })

  it('keeps the names of application services for them', async () => {
    const stop = claimUserIds(server.ctx, userId => userId.startsWith('@irc-'))
    expect((await attempt({ username: 'irc-alice', password })).json).toMatchObject({ errcode: 'M_EXCLUSIVE' })
    stop()
    expect((await attempt({ username: 'irc-alice', password })).status).toBe(401)
  })

  it('refuses weak passwords before asking for proof', async () => {
    const done = await attempt({ username: 'weak', password: '1234567' })
    expect(done.status).toBe(400)
    expect(done.json).toMatchObject({ errcode: 'M_WEAK_PASSWORD' })
  })

  it('does not log in when it is told not to', async () => {
    const answer = await nobody(server).post('/register', {
      username: 'inhibited', password, inhibit_login: true, auth: dummy,
    }) // prettier-ignore
    expect(answer).toEqual({ user_id: '@inhibited:lethe.test' })
  })

  it('uses the device ID and the device name that it is given', async () => {
    const answer = await nobody(server).post('/register', {
      username: 'named', password, device_id: 'xyzzy', initial_device_display_name: 'My phone', auth: dummy,
    }) // prettier-ignore
    const person = new Person(server.url, answer, password)
    expect(person.deviceId).toBe('xyzzy')
    expect(await person.get('/devices/xyzzy')).toMatchObject({ device_id: 'xyzzy', display_name: 'My phone' })
  })

  it.each([{ device_id: 'a\u0000b' }, { device_id: '' }, { initial_device_display_name: 'x'.repeat(101) }])(
    'refuses %j',
    async more => {
      const done = await attempt({ password, auth: dummy, ...more })
      expect(done.status).toBe(400)
      expect(done.json).toMatchObject({ errcode: 'M_INVALID_PARAM' })
    },
  )

  it('gives a refresh token to clients that can use one', async () => {
    const answer = await nobody(server).post('/register', { password, refresh_token: true, auth: dummy })
    expect(answer).toMatchObject({ refresh_token: expect.any(String), expires_in_ms: 300_000 })
  })

  it('admits no guests', async () => {
    const done = await attempt({}, { kind: 'guest' })
    expect(done.status).toBe(403)
    expect(done.json).toMatchObject({ errcode: 'M_FORBIDDEN' })
  })

  it('answers under r0 too', async () => {
    const answer = await nobody(server).post('/_matrix/client/r0/register', { password, auth: dummy })
    expect(text(answer, 'access_token')).toMatch(/^lta_/)
  })

  describe('by shared secret', () => {
    const mac = (key: string, ...parts: string[]) => createHmac('sha1', key).update(parts.join('\0')).digest('hex')
    const path = '/_synapse/admin/v1/register'

    it('makes an account, an administrator if so signed', async () => {
      const nonce = text(await nobody(server).get(path), 'nonce')
      const answer = await nobody(server).post(path, {
        nonce, username: 'Boss', password, admin: true, mac: mac('complement', nonce, 'Boss', password, 'admin'),
      }) // prettier-ignore
      expect(answer).toMatchObject({ user_id: '@boss:lethe.test', home_server: 'lethe.test' })
      const { rows } = await server.ctx.db.pool.query(
        "SELECT is_admin FROM accounts JOIN users USING (user_number) WHERE user_id = '@boss:lethe.test'",
      )
      expect(rows).toEqual([{ is_admin: true }])
    })

    it('gives the account a display name, and makes none whose name cannot be', async () => {
      const made = async (username: string, displayname: string) => {
        const nonce = text(await nobody(server).get(path), 'nonce')
        const body = { nonce, username, password, displayname, mac: mac('complement', nonce, username, password, 'notadmin') } // prettier-ignore
        return nobody(server).request('POST', path, body)
      }
      expect((await made('unnamed', 'x'.repeat(257))).status).toBe(400)
      // What it answers is a session, or `Person` throws.
      const pepper = new Person(server.url, (await made('pepper', 'Pepper Roni')).json as JsonObject, password)
      expect(await pepper.get('/profile/@pepper:lethe.test')).toEqual({ displayname: 'Pepper Roni' })
      const { rows: found } = await server.ctx.db.pool.query("SELECT FROM accounts JOIN users USING (user_number) WHERE user_id = '@unnamed:lethe.test'") // prettier-ignore
      expect(found).toEqual([])
    })

    it('takes each nonce once, within a minute, and nothing that is signed for another role or key', async () => {
      const tryWith = async (nonce: string, key: string, role: string) => {
        const done = await nobody(server).request('POST', path, {
          nonce, username: 'minion', password, admin: true, mac: mac(key, nonce, 'minion', password, role),
        }) // prettier-ignore
        return done.status
      }
      const nonces: string[] = []
      for (let each = 0; each < 3; each += 1) nonces.push(text(await nobody(server).get(path), 'nonce'))
      const [first = '', second = '', third = ''] = nonces
      expect(await tryWith(first, 'complement', 'notadmin')).toBe(403)
      expect(await tryWith(first, 'complement', 'admin')).toBe(400)
      expect(await tryWith(second, 'wrong', 'admin')).toBe(403)
      await server.clock.advance(60_000)
      expect(await tryWith(third, 'complement', 'admin')).toBe(400)
    })
  })
})

describe('closed registration', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ settings: { registration: { mode: 'closed' } } })
  })
  afterAll(() => server.close())

  it.each([
    ['POST', '/register', { password, auth: dummy }],
    ['GET', '/register/available?username=alice', undefined],
    ['GET', '/_matrix/client/v1/register/m.login.registration_token/validity?token=x', undefined],
  ])('refuses %s %s', async (method, path, body) => {
    const done = await nobody(server).request(method, path, body)
    expect(done.status).toBe(403)
    expect(done.json).toMatchObject({ errcode: 'M_FORBIDDEN' })
  })

  it('has no registration by secret where there is no secret', async () => {
    const done = await nobody(server).request('GET', '/_synapse/admin/v1/register')
    expect(done.status).toBe(404)
    expect(done.json).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  })
})

describe('registration with tokens', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ settings: { registration: { mode: 'token' } } })
  })
  afterAll(() => server.close())

  const addToken = (token: string, uses: number | null, expiresTs: number | null = null) =>
    transaction(server.ctx.db, tx => insertRegistrationToken(tx, token, uses, expiresTs))
  const withToken = (token: string, more: JsonObject = {}) =>
    nobody(server).request('POST', '/register', {
      password, auth: { type: 'm.login.registration_token', token }, ...more,
    }) // prettier-ignore
  const validity = (token: string) =>
    nobody(server).get('/_matrix/client/v1/register/m.login.registration_token/validity', { token })
  const usesOf = async (token: string) => {
    const known = await registrationToken(server.ctx.db.kysely, token, server.clock.now())
    return known && { pending: known.pending, completed: known.completed }
  }

  it('takes a token as often as it may be used', async () => {
    await addToken('twice', 2)
    expect(await validity('twice')).toEqual({ valid: true })
    expect((await withToken('twice')).status).toBe(200)
    expect((await withToken('twice')).status).toBe(200)
    expect(await validity('twice')).toEqual({ valid: false })
    const third = await withToken('twice')
    expect(third.status).toBe(401)
    expect(third.json).toMatchObject({ errcode: 'M_FORBIDDEN', flows: [{ stages: ['m.login.registration_token'] }] })
    expect(await usesOf('twice')).toEqual({ pending: 0, completed: 2 })
  })

  it('gives the last use to one of many who ask at once', async () => {
    await addToken('once', 1)
    const all = await Promise.all(Array.from({ length: 4 }, () => withToken('once')))
    expect(all.filter(done => done.status === 200)).toHaveLength(1)
    expect(await usesOf('once')).toEqual({ pending: 0, completed: 1 })
  })

  it.each(['unknown', '', 'with\u0000nul', 'x'.repeat(1000)])('does not take %j', async token => {
    expect((await withToken(token)).status).toBe(401)
  })

  it('does not take a dummy', async () => {
    const done = await nobody(server).request('POST', '/register', { password, auth: dummy })
    expect(done.status).toBe(401)
    expect(done.json).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  })

  it('does not take a token that has expired', async () => {
    await addToken('short', null, server.clock.now() + 1_000)
    expect(await validity('short')).toEqual({ valid: true })
    await server.clock.advance(1_000)
    expect(await validity('short')).toEqual({ valid: false })
    expect((await withToken('short')).status).toBe(401)
  })

  it('counts a use when the account is made, and not before', async () => {
    await addToken('saved', 1)
    expect((await withToken('saved', { username: 'first', password: 'short' })).status).toBe(400)
    expect(await usesOf('saved')).toEqual({ pending: 0, completed: 0 })
    expect((await withToken('saved', { username: 'first' })).status).toBe(200)
    expect(await usesOf('saved')).toEqual({ pending: 0, completed: 1 })
  })

  it('holds a use for a session that has shown the token on the fallback page', async () => {
    await addToken('page', 1)
    const body = { username: 'paged', password }
    const challenge = await nobody(server).request('POST', '/register', body)
    const session = text(challenge.json as JsonObject, 'session')
    const page = `/auth/m.login.registration_token/fallback/web?session=${encodeURIComponent(session)}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await nobody(server).request('GET', page)).bytes.toString()).toContain('<form method="post">')
    expect((await nobody(server).request('POST', page, 'answer=wrong', { headers })).status).toBe(403)
    const done = await nobody(server).request('POST', page, 'answer=page', { headers })
    expect(done.status).toBe(200)
    expect(done.bytes.toString()).toContain('window.onAuthDone')
    expect(await usesOf('page')).toEqual({ pending: 1, completed: 0 })
    expect((await withToken('page')).status).toBe(401)
    const registered = await nobody(server).request('POST', '/register', { ...body, auth: { session } })
    expect(registered.status).toBe(200)
    expect(await usesOf('page')).toEqual({ pending: 0, completed: 1 })
  })

  it('lets go of a use when its session expires', async () => {
    await addToken('left', 1)
    const challenge = await nobody(server).request('POST', '/register', { password })
    const session = text(challenge.json as JsonObject, 'session')
    const page = `/auth/m.login.registration_token/fallback/web?session=${encodeURIComponent(session)}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    await nobody(server).request('POST', page, 'answer=left', { headers })
    expect(await validity('left')).toEqual({ valid: false })
    await server.clock.advance(60 * 60 * 1000)
    expect(await validity('left')).toEqual({ valid: true })
  })
})
