import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { signOutOfPages } from '../../src/accounts/page-sessions.ts'
import { type Exchange, exchange } from '../harness/exchange.ts'
import { nobody, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let room: string

beforeAll(async () => {
  server = await startTestServer({ settings: { public_base_url: 'https://lethe.test' } })
  alice = await register(server, 'alice')
  room = await alice.createRoom({ name: '<script>alert(1)</script>' })
})
afterAll(() => server.close())

const pages = [
  '/account',
  '/account/rooms',
  '/account/devices',
  '/account/report',
  '/account/password',
  '/account/erase',
]
const forms = [
  '/account/sign-out',
  '/account/rooms',
  '/account/devices',
  '/account/password',
  '/account/recovery-code',
  '/account/erase',
]

const get = (target: string, cookie = '') =>
  exchange(server.url, { method: 'GET', target, headers: cookie === '' ? {} : { cookie } })
const post = (target: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  exchange(server.url, {
    method: 'POST',
    target,
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  })
const setCookie = (done: Exchange) => [done.headers['set-cookie']].flat().join()

/** The cookie of a sign-in, and what its forms have in them. */
async function signIn(person = alice, at = server): Promise<{ cookie: string; key: string }> {
  const fields = new URLSearchParams({ name: person.userId, password: person.password }).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const done = await exchange(at.url, { method: 'POST', target: '/account/sign-in', body: fields, headers })
  expect(done.status).toBe(303)
  const [cookie = ''] = setCookie(done).split(';')
  const page = await exchange(at.url, { method: 'GET', target: '/account', headers: { cookie } })
  const [, key = ''] = /name="key" value="([^"]+)"/.exec(page.bytes.toString()) ?? []
  return { cookie, key }
}

describe('the pages of an account', () => {
  it.each(pages)('have nothing that could run, leak or be kept: %s', async target => {
    const { cookie } = await signIn()
    const page = await get(target, cookie)
    expect(page.status).toBe(200)
    const text = page.bytes.toString()
    expect(text).not.toContain('<script')
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
    expect(page.headers).toMatchObject({
      'content-security-policy': expect.stringMatching(/^default-src 'none'; style-src 'sha256-[^;]*; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-frame-options': 'DENY',
    }) // prettier-ignore
    expect(page.headers).not.toHaveProperty('access-control-allow-origin')
  })

  it.each(pages.slice(1))('are shown to nobody who is not signed in: %s', async target => {
    for (const cookie of ['', '__Host-lethe=x', `__Host-lethe=${alice.accessToken}`, 'lethe=']) {
      const page = await get(target, cookie)
      expect([page.status, page.headers['location']]).toEqual([303, '/account'])
    }
  })

  it.each(forms)('take no form without what was in the page: %s', async target => {
    const { cookie, key } = await signIn()
    const other = await signIn()
    for (const wrong of ['', 'x', other.key, key.slice(1)]) {
      const done = await post(target, { key: wrong, device: alice.deviceId, room, lifetime: '3600000' }, { cookie })
      expect(done.status).toBe(403)
    }
    const foreign = await post(target, { key }, { cookie, 'sec-fetch-site': 'same-site' })
    expect(foreign.status).toBe(403)
    expect((await alice.request('GET', '/account/whoami')).status).toBe(200)
    expect((await get('/account/rooms', cookie)).status).toBe(200)
  })

  it('give a cookie that no script, no other host and no other site gets', async () => {
    const done = await post('/account/sign-in', { name: 'alice', password: alice.password })
    expect(setCookie(done)).toMatch(/^__Host-lethe=ltp_[\w-]+; Path=\/; HttpOnly; SameSite=Strict; Secure$/)
    const { rows } = await server.ctx.db.pool.query<{ row: string }>('SELECT s::text AS row FROM page_sessions s')
    const [secret = ''] = /ltp_[\w-]+/.exec(setCookie(done)) ?? []
    expect(rows.filter(({ row }) => row.includes(secret))).toEqual([])
  })

  it('let nobody in with a wrong password, an unknown name, or from another site', async () => {
    const wrong = await post('/account/sign-in', { name: 'alice', password: 'wrong' })
    const unknown = await post('/account/sign-in', { name: 'nobody', password: 'wrong' })
    const foreign = await post('/account/sign-in', { name: 'alice', password: alice.password }, { 'sec-fetch-site': 'cross-site' }) // prettier-ignore
    expect([wrong.status, unknown.status, foreign.status]).toEqual([403, 403, 403])
    expect([wrong, unknown, foreign].map(setCookie)).toEqual(['', '', ''])
    const alike = (done: Exchange) => done.bytes.toString().replace(/value="(alice|nobody)"/, '')
    expect(alike(unknown)).toBe(alike(wrong))
  })

  it('are no device, and no way into the API', async () => {
    const { cookie } = await signIn()
    const { rows } = await server.ctx.db.pool.query('SELECT FROM devices')
    expect(rows).toHaveLength(1)
    const token = cookie.split('=')[1] ?? ''
    const asToken = await exchange(server.url, { method: 'GET', target: '/_matrix/client/v3/account/whoami', token })
    expect(asToken.status).toBe(401)
    const asCookie = await exchange(server.url, { method: 'GET', target: '/_matrix/client/v3/account/whoami', headers: { cookie } }) // prettier-ignore
    expect(asCookie.status).toBe(401)
  })

  it('forget who is signed in after an hour, and when they sign out', async () => {
    const first = await signIn()
    const out = await post('/account/sign-out', { key: first.key }, { cookie: first.cookie })
    expect(setCookie(out)).toContain('Max-Age=0')
    expect((await get('/account/rooms', first.cookie)).status).toBe(303)
    const second = await signIn()
    await server.clock.advance(3_599_000)
    expect((await get('/account/rooms', second.cookie)).status).toBe(200)
    await server.clock.advance(1_000)
    expect((await get('/account/rooms', second.cookie)).status).toBe(303)
    await expect(signOutOfPages(server.ctx, 'x')).resolves.toBeUndefined()
  })

  it('are closed to an account that is locked, and end with a new password', async () => {
    const carol = await register(server)
    const { cookie } = await signIn(carol)
    await server.ctx.db.pool.query(
      'UPDATE accounts SET is_locked = true FROM users u WHERE u.user_number = accounts.user_number AND user_id = $1',
      [carol.userId],
    )
    expect((await get('/account/rooms', cookie)).status).toBe(303)
    const dave = await register(server)
    const before = await signIn(dave)
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: dave.userId }, password: dave.password } // prettier-ignore
    await dave.post('/account/password', { new_password: 'another good password', auth })
    expect((await get('/account/rooms', before.cookie)).status).toBe(303)
  })

  it('set a lifetime only where and to what the user may', async () => {
    const { cookie, key } = await signIn()
    const set = (fields: Record<string, string>) => post('/account/rooms', { key, ...fields }, { cookie })
    expect((await set({ room, lifetime: '3600000' })).status).toBe(303)
    expect(await alice.state(room, 'm.room.retention')).toEqual({ max_lifetime: 3_600_000 })
    expect((await set({ room, lifetime: '12' })).status).toBe(400)
    expect((await set({ room: 'nonsense', lifetime: '3600000' })).status).toBe(403)
    const bob = await register(server)
    const theirs = await bob.createRoom({ preset: 'public_chat' })
    expect((await set({ room: theirs, lifetime: '3600000' })).status).toBe(403)
    await alice.join(theirs)
    expect((await set({ room: theirs, lifetime: '3600000' })).status).toBe(403)
    expect((await set({ room, lifetime: 'none' })).status).toBe(303)
    expect(await alice.state(room, 'm.room.retention')).toEqual({})
  })

  it('show what people wrote as text', async () => {
    const { cookie } = await signIn()
    expect((await get('/account/rooms', cookie)).bytes.toString()).toContain('&lt;script&gt;alert(1)')
  })

  it('work without HTTPS too, with a plainer cookie', async () => {
    const plain = await startTestServer()
    try {
      const { cookie } = await signIn(await register(plain, 'eve'), plain)
      expect(cookie).toMatch(/^lethe=ltp_/)
    } finally {
      await plain.close()
    }
  })
})

describe('the first page', () => {
  it('says how to join, and whom to write to if the settings say', async () => {
    const page = (await get('/')).bytes.toString()
    expect(page).toContain('https://mobile.element.io/?hs_url=https%3A%2F%2Flethe.test')
    expect(page).toContain('aria-label="Link that opens Element on a telephone"')
    expect(page).not.toContain('Whom to write to')
    expect((await nobody(server).request('GET', '/.well-known/matrix/support')).status).toBe(404)
    const open = await startTestServer({ settings: { support: { contacts: [{ email_address: 'root@lethe.test' }] } } })
    try {
      const told = await exchange(open.url, { method: 'GET', target: '/' })
      expect(told.bytes.toString()).toContain('mailto:root@lethe.test')
      // A telephone could not reach it.
      expect(told.bytes.toString()).not.toContain('mobile.element.io')
      const support = await nobody(open).get('/.well-known/matrix/support')
      expect(support).toEqual({ contacts: [{ role: 'm.role.admin', email_address: 'root@lethe.test' }] })
    } finally {
      await open.close()
    }
  })
})
