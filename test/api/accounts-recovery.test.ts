import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createJoinLink } from '../../src/accounts/join-links.ts'
import { newRecoveryCode } from '../../src/accounts/recovery.ts'
import { parseUserId } from '../../src/protocol/identifiers.ts'
import { accountByUserId } from '../../src/storage/accounts.ts'
import { exchange } from '../harness/exchange.ts'
import { nobody, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const password = 'a wholly new password'

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())
beforeEach(async () => {
  alice = await register(server)
})

const post = (target: string, fields: Record<string, string>, on = server) =>
  exchange(on.url, {
    method: 'POST',
    target,
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
const codeIn = (bytes: Buffer) => /class="key">((?:[A-Z]{4}-){6}[A-Z]{4})</.exec(bytes.toString())?.[1] ?? ''
const numberOf = async (userId: string) => {
  const parsed = parseUserId(userId)
  return (parsed && (await accountByUserId(server.ctx.db.kysely, parsed)))?.userNumber ?? 0
}
const codeOf = async (person: Person) => newRecoveryCode(server.ctx, await numberOf(person.userId))
const login = async (user: string, secret: string) =>
  (await nobody(server).request('POST', '/login', { type: 'm.login.password', user, password: secret })).status

describe('a recovery code', () => {
  it('sets a new password, ends every session, and is followed by the next', async () => {
    const second = await alice.login()
    const code = await codeOf(alice)
    const done = await post('/recover', { username: alice.userId, code, password })
    expect(done.status).toBe(200)
    expect(await login(alice.userId, alice.password)).toBe(403)
    expect(await login(alice.userId, password)).toBe(200)
    for (const session of [alice, second]) {
      expect((await session.request('GET', '/account/whoami')).status).toBe(401)
    }
    const next = codeIn(done.bytes)
    expect(next).not.toBe(code)
    expect((await post('/recover', { username: alice.userId, code, password })).status).toBe(403)
    expect((await post('/recover', { username: alice.userId, code: next, password })).status).toBe(200)
  })

  it('may be written in any way, and the name too', async () => {
    const code = (await codeOf(alice)).toLowerCase().replaceAll('-', ' ')
    const localpart = alice.userId.slice(1).split(':')[0] ?? ''
    expect((await post('/recover', { username: ` ${localpart.toUpperCase()} `, code, password })).status).toBe(200)
  })

  it('is worth nothing for another account, and nothing tells whether that exists', async () => {
    const code = await codeOf(alice)
    const bob = await register(server)
    const answers = await Promise.all(
      [bob.userId, '@nobody:lethe.test', '@alice:elsewhere.test', 'not a name', ''].map(username =>
        post('/recover', { username, code, password }),
      ),
    )
    const told = answers.map(({ status, bytes }) => [status, /role="alert">([^<]*)/.exec(bytes.toString())?.[1]])
    expect(new Set(told.map(String)).size).toBe(1)
    expect(told[0]).toEqual([403, 'The name or the recovery code is wrong'])
    expect((await post('/recover', { username: alice.userId, code: '', password })).status).toBe(403)
    expect(await login(bob.userId, bob.password)).toBe(200)
  })

  it('is not used up by a password that is too weak', async () => {
    const code = await codeOf(alice)
    expect((await post('/recover', { username: alice.userId, code, password: 'short' })).status).toBe(400)
    expect((await post('/recover', { username: alice.userId, code, password })).status).toBe(200)
  })

  it('is used up by one of two who send it at once', async () => {
    const code = await codeOf(alice)
    const both = await Promise.all([1, 2].map(() => post('/recover', { username: alice.userId, code, password })))
    expect(both.map(done => done.status).sort()).toEqual([200, 403])
  })

  it('is replaced by a newer one', async () => {
    const older = await codeOf(alice)
    const newer = await codeOf(alice)
    expect((await post('/recover', { username: alice.userId, code: older, password })).status).toBe(403)
    expect((await post('/recover', { username: alice.userId, code: newer, password })).status).toBe(200)
  })

  it('is kept as a hash alone, and goes with the account', async () => {
    const code = await codeOf(alice)
    const userNumber = await numberOf(alice.userId)
    const rows = async () =>
      (await server.ctx.db.pool.query('SELECT * FROM recovery_codes WHERE user_number = $1', [userNumber])).rows
    expect(await rows()).toEqual([{ user_number: userNumber, code_hash: expect.any(Buffer) }])
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: alice.password,
    }
    await alice.post('/account/deactivate', { auth })
    expect(await rows()).toEqual([])
    expect((await post('/recover', { username: alice.userId, code, password })).status).toBe(403)
    await expect(newRecoveryCode(server.ctx, userNumber)).rejects.toMatchObject({ errcode: 'M_USER_DEACTIVATED' })
    expect(await rows()).toEqual([])
  })

  it('cannot be tried often from one address', async () => {
    const limited = await startTestServer({ settings: { rate_limits: { enabled: true } } })
    try {
      const tries = await Promise.all(
        Array.from({ length: 8 }, () => post('/recover', { username: 'x', code: 'y', password }, limited)),
      )
      expect(tries.filter(({ status }) => status === 403)).toHaveLength(5)
      expect(tries.filter(({ status }) => status === 429)).toHaveLength(3)
    } finally {
      await limited.close()
    }
  })
})

describe('the pages of recovery codes', () => {
  it.each(['/recover', '/recovery-code'])('%s shows a form that nothing can run in', async target => {
    const shown = await exchange(server.url, { method: 'GET', target })
    expect(shown.status).toBe(200)
    expect(shown.bytes.toString()).not.toContain('<script')
    expect(shown.headers).toMatchObject({
      'content-security-policy': expect.stringMatching(/^default-src 'none'; style-src 'sha256-[^;]*; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    }) // prettier-ignore
    const refused = await post(target, { username: '"><script>', code: 'x', password })
    expect(refused.status).toBe(403)
    expect(refused.bytes.toString()).toContain('value="&quot;&gt;&lt;script&gt;"')
    const json = await exchange(server.url, {
      method: 'POST',
      target,
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    expect(json.status).toBe(400)
  })

  it('give a code to whoever shows a password, and not to others', async () => {
    const done = await post('/recovery-code', { username: alice.userId, password: alice.password })
    expect(done.status).toBe(200)
    expect((await post('/recovery-code', { username: alice.userId, password: 'wrong password' })).status).toBe(403)
    expect((await post('/recover', { username: alice.userId, code: codeIn(done.bytes), password })).status).toBe(200)
  })

  it('show one to whoever joins by a link', async () => {
    const token = await createJoinLink(server.ctx, { isAdmin: false, usesAllowed: 1, lifetimeMs: 60_000 })
    const done = await post(`/join/${token}`, { username: 'joiner', password: 'correct horse battery' })
    expect(done.status).toBe(200)
    expect((await post('/recover', { username: 'joiner', code: codeIn(done.bytes), password })).status).toBe(200)
    expect(await login('joiner', password)).toBe(200)
  })
})
