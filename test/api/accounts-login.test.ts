import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import jsonwebtoken from 'jsonwebtoken'
import { generateKeyPairSync } from 'node:crypto'
import { setFlags } from '../../src/accounts/account.ts'
import { deactivate } from '../../src/privacy/deactivate.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { parseUserId } from '../../src/protocol/identifiers.ts'
import { accountByUserId } from '../../src/storage/accounts.ts'
import { nobody, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const secret = 'a secret of the operator, long enough'
let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    settings: {
      public_base_url: 'https://matrix.lethe.test',
      login: { token: { enabled: true }, jwt: { secret, issuer: 'the operator', audiences: ['lethe'] } },
    },
  })
})
afterAll(() => server.close())

const login = (body: JsonObject) => nobody(server).request('POST', '/login', body)
const withPassword = (user: string, password: string, more: JsonObject = {}) =>
  login({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...more })
const withJwt = (claims: object, key: string = secret, options: jsonwebtoken.SignOptions = {}) =>
  login({
    type: 'org.matrix.login.jwt',
    token: jsonwebtoken.sign({ iss: 'the operator', aud: 'lethe', ...claims }, key, { noTimestamp: true, ...options }),
  })
const loginTokenOf = async (person: Person) => {
  const auth = { type: 'm.login.password', password: person.password }
  return text(await person.post('/_matrix/client/v1/login/get_token', { auth }), 'login_token')
}
const accountOf = async (person: Person) => {
  const userId = parseUserId(person.userId)
  const account = userId && (await accountByUserId(server.ctx.db.kysely, userId))
  if (!account) throw new Error('no account')
  return account
}

describe('login', () => {
  it('offers what the settings allow', async () => {
    expect(await nobody(server).get('/login')).toEqual({
      flows: [
        { type: 'm.login.password' },
        { type: 'm.login.token', get_login_token: true },
        { type: 'org.matrix.login.jwt' },
      ],
    })
  })

  it('takes a localpart, a user ID, capitals, and the deprecated field', async () => {
    const alice = await register(server, 'alice')
    const identifiers: JsonObject[] = [
      { identifier: { type: 'm.id.user', user: 'alice' } },
      { identifier: { type: 'm.id.user', user: '@alice:lethe.test' } },
      { identifier: { type: 'm.id.user', user: '@ALICE:lethe.test' } },
      { user: 'alice' },
    ]
    for (const identifier of identifiers) {
      const done = await login({ type: 'm.login.password', password: alice.password, ...identifier })
      expect(done.json).toMatchObject({
        user_id: '@alice:lethe.test',
        access_token: expect.stringMatching(/^lta_/),
        well_known: { 'm.homeserver': { base_url: 'https://matrix.lethe.test' } },
      })
    }
  })

  it('answers the same to a wrong password and to somebody unknown', async () => {
    await register(server, 'bob')
    const wrong = await withPassword('bob', 'not the password')
    const unknown = await withPassword('nobody-at-all', 'not the password')
    const elsewhere = await withPassword('@bob:elsewhere.test', 'not the password')
    const impossible = await withPassword('b o b\u0000', 'not the password')
    expect(wrong.status).toBe(403)
    for (const other of [unknown, elsewhere, impossible]) {
      expect([other.status, other.json]).toEqual([wrong.status, wrong.json])
    }
  })

  it.each([
    ['no type', {}, 400, 'M_MISSING_PARAM'],
    ['an unknown type', { type: 'm.login.magic' }, 400, 'M_UNKNOWN'],
    ['an interactive-auth stage as a type', { type: 'm.login.dummy', user: 'alice' }, 400, 'M_UNKNOWN'],
    ['no password', { type: 'm.login.password', user: 'alice' }, 400, 'M_MISSING_PARAM'],
    ['nobody named', { type: 'm.login.password', password: 'x' }, 400, 'M_MISSING_PARAM'],
    ['a password of the wrong type', { type: 'm.login.password', user: 'alice', password: 1 }, 400, 'M_MISSING_PARAM'],
    ['an identifier of the wrong type', { type: 'm.login.password', identifier: 'alice', password: 'x' }, 400, 'M_BAD_JSON'],
    ['an e-mail address', { type: 'm.login.password', identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b' }, password: 'x' }, 403, 'M_FORBIDDEN'],
    ['a telephone number', { type: 'm.login.password', identifier: { type: 'm.id.phone', country: 'GB', phone: '1' }, password: 'x' }, 403, 'M_FORBIDDEN'],
    ['an unknown login token', { type: 'm.login.token', token: 'ltl_x' }, 403, 'M_FORBIDDEN'],
    ['a device ID with NUL', { type: 'm.login.password', user: 'alice', password: 'x', device_id: 'a\u0000' }, 400, 'M_INVALID_PARAM'],
  ])('refuses %s', async (_what, body, status, errcode) => {
    const done = await login(body)
    expect(done.status).toBe(status)
    expect(done.json).toMatchObject({ errcode })
  }) // prettier-ignore

  it('hashes a password again that was hashed with other parameters', async () => {
    const carol = await register(server, 'carol')
    const old = await hash(carol.password, { memoryCost: 64, timeCost: 1, parallelism: 1 })
    await server.ctx.db.pool.query({
      text: 'UPDATE accounts SET password_hash = $1 WHERE user_number = $2',
      values: [old, (await accountOf(carol)).userNumber],
    })
    await carol.login()
    expect((await accountOf(carol)).passwordHash).toMatch(/m=19456,t=2,p=1/)
    await carol.login()
  })
})

describe('a login token', () => {
  it('logs in once, within two minutes', async () => {
    const dave = await register(server, 'dave')
    const token = await loginTokenOf(dave)
    const first = await login({ type: 'm.login.token', token })
    expect(first.json).toMatchObject({ user_id: dave.userId })
    expect((await login({ type: 'm.login.token', token })).status).toBe(403)
    const late = await loginTokenOf(dave)
    await server.clock.advance(120_000)
    expect((await login({ type: 'm.login.token', token: late })).status).toBe(403)
  })

  it('is given to nobody without the password', async () => {
    const erin = await register(server, 'erin')
    const path = '/_matrix/client/v1/login/get_token'
    const challenge = await erin.request('POST', path, {})
    expect(challenge.status).toBe(401)
    expect(challenge.json).toMatchObject({ flows: [{ stages: ['m.login.password'] }] })
    const wrong = await erin.request('POST', path, { auth: { type: 'm.login.password', password: 'wrong' } })
    expect(wrong.json).toMatchObject({ errcode: 'M_FORBIDDEN', flows: [{ stages: ['m.login.password'] }] })
  })
})

describe('a JSON Web Token', () => {
  it('logs in whom it names, and makes the account the first time', async () => {
    const first = await withJwt({ sub: 'Frank' })
    expect(first.json).toMatchObject({ user_id: '@frank:lethe.test' })
    expect((await withJwt({ sub: 'frank' })).json).toMatchObject({ user_id: '@frank:lethe.test' })
    expect((await withPassword('frank', '')).status).toBe(403)
  })

  it('makes one account when it comes twice at once', async () => {
    const both = await Promise.all([withJwt({ sub: 'grace' }), withJwt({ sub: 'grace' })])
    expect(both.map(done => done.status)).toEqual([200, 200])
  })

  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const nowSeconds = () => Math.floor(server.clock.now() / 1000)

  it.each([
    ['of another key', () => withJwt({ sub: 'frank' }, 'another secret')],
    ['of another algorithm', () => withJwt({ sub: 'frank' }, pem, { algorithm: 'RS256' })],
    ['of another strength', () => withJwt({ sub: 'frank' }, secret, { algorithm: 'HS512' })],
    ['that has expired', () => withJwt({ sub: 'frank', exp: nowSeconds() - 60 })],
    ['that is not valid yet', () => withJwt({ sub: 'frank', nbf: nowSeconds() + 60 })],
    ['of another issuer', () => withJwt({ sub: 'frank', iss: 'somebody' })],
    ['for another audience', () => withJwt({ sub: 'frank', aud: 'somebody' })],
    ['that names nobody', () => withJwt({})],
    ['that names no possible user', () => withJwt({ sub: 'not a name' })],
    ['with a number for a name', () => withJwt({ uid: 1 })],
    ['without a signature', () => login({ type: 'org.matrix.login.jwt', token: jsonwebtoken.sign({ sub: 'frank', iss: 'the operator', aud: 'lethe' }, '', { algorithm: 'none' }) })],
    ['that is none', () => login({ type: 'org.matrix.login.jwt', token: 'x.y.z' })],
  ])('is refused %s', async (_what, attempt) => {
    const done = await attempt()
    expect(done.status).toBe(403)
    expect(done.json).toMatchObject({ errcode: 'M_FORBIDDEN' })
  }) // prettier-ignore
})

describe('accounts in every state, by every way in', () => {
  const states = ['active', 'locked', 'suspended', 'deactivated', 'erased'] as const
  type State = (typeof states)[number]
  const put = async (person: Person, state: State) => {
    const account = await accountOf(person)
    if (state === 'locked') await setFlags(server.ctx, account, { isLocked: true })
    if (state === 'suspended') await setFlags(server.ctx, account, { isSuspended: true })
    if (state === 'deactivated') await deactivate(server.ctx, account, false)
    if (state === 'erased') await deactivate(server.ctx, account, true)
  }
  const ways = {
    password: async (person: Person) => () => withPassword(person.userId, person.password),
    jwt: (person: Person) => () => withJwt({ sub: parseUserId(person.userId)?.slice(1).split(':')[0] }),
    token: async (person: Person) => {
      const token = await loginTokenOf(person)
      return () => login({ type: 'm.login.token', token })
    },
    refresh: async (person: Person) => {
      const device = await person.login({ refresh_token: true })
      return () => nobody(server).request('POST', '/refresh', { refresh_token: device.refreshToken })
    },
    'access token': (person: Person) => () => person.request('GET', '/account/whoami'),
    logout: (person: Person) => () => person.request('POST', '/logout', {}),
  }
  type Way = keyof typeof ways
  const good = [200, null]
  const locked = [401, 'M_USER_LOCKED']
  const unknown = [401, 'M_UNKNOWN_TOKEN']
  const gone = [403, 'M_USER_DEACTIVATED']
  const forbidden = [403, 'M_FORBIDDEN']
  const expected: Record<Way, Record<State, (string | number | null)[]>> = {
    // A password that was deleted cannot be right, and nobody need know whose it was.
    password: { active: good, locked, suspended: good, deactivated: forbidden, erased: forbidden },
    jwt: { active: good, locked, suspended: good, deactivated: gone, erased: gone },
    // The token goes with the account.
    token: { active: good, locked, suspended: good, deactivated: forbidden, erased: forbidden },
    refresh: { active: good, locked, suspended: good, deactivated: unknown, erased: unknown },
    'access token': { active: good, locked, suspended: good, deactivated: unknown, erased: unknown },
    logout: { active: good, locked: good, suspended: good, deactivated: unknown, erased: unknown },
  }
  const cases = Object.keys(ways).flatMap(way => states.map(state => [way as Way, state] as const))

  it.each(cases)('by %s, when %s', async (way, state) => {
    const person = await register(server, `${way.replace(' ', '-')}-${state}`)
    const attempt = await ways[way](person)
    await put(person, state)
    const done = await attempt()
    const errcode = (done.json as JsonObject).errcode ?? null
    expect([done.status, errcode]).toEqual(expected[way][state])
    if (errcode === 'M_USER_LOCKED') expect(done.json).toMatchObject({ soft_logout: true })
  })

  it('lets people in again when they are unlocked', async () => {
    const person = await register(server, 'unlocked')
    await put(person, 'locked')
    expect((await person.request('GET', '/account/whoami')).status).toBe(401)
    await setFlags(server.ctx, await accountOf(person), { isLocked: false })
    expect((await person.request('GET', '/account/whoami')).status).toBe(200)
  })
})

describe('too many wrong passwords', () => {
  it('close an account to strangers, not to those who are signed in', async () => {
    const limited = await startTestServer({
      settings: { rate_limits: { enabled: true, login: { per_second: 1000, burst: 1000 } } },
    })
    try {
      const victim = await register(limited, 'victim')
      const guess = (user: string) =>
        nobody(limited).request('POST', '/login', { type: 'm.login.password', user, password: 'a guess' })
      for (let each = 0; each < 5; each += 1) expect((await guess('victim')).status).toBe(403)
      const refused = await guess('victim')
      expect(refused.status).toBe(429)
      expect(refused.json).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) })
      expect((await guess('somebody-else')).status).toBe(403)
      const auth = { type: 'm.login.password', password: victim.password }
      await victim.post('/delete_devices', { devices: ['none'], auth })
      await limited.clock.advance(400_000)
      expect((await victim.login()).userId).toBe(victim.userId)
    } finally {
      await limited.close()
    }
  })
})
