import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createJoinLink } from '../../src/accounts/join-links.ts'
import { exchange } from '../harness/exchange.ts'
import { nobody } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({ settings: { registration: { mode: 'closed' } } })
})
afterAll(() => server.close())

const link = (more: { isAdmin?: boolean; usesAllowed?: number; lifetimeMs?: number } = {}) =>
  createJoinLink(server.ctx, { isAdmin: false, usesAllowed: 1, lifetimeMs: 60_000, ...more })
const show = (token: string) => exchange(server.url, { method: 'GET', target: `/join/${token}` })
const post = (token: string, body: string, contentType: string) =>
  exchange(server.url, { method: 'POST', target: `/join/${token}`, body, headers: { 'content-type': contentType } })
const send = (token: string, username: string, password: string) =>
  post(token, new URLSearchParams({ username, password }).toString(), 'application/x-www-form-urlencoded')
const login = (user: string, password: string) =>
  nobody(server).request('POST', '/login', { type: 'm.login.password', user, password })

describe('the page of a join link', () => {
  it('shows a form with a pseudonym, and nothing that could run or leak', async () => {
    const page = await show(await link())
    expect(page.status).toBe(200)
    const text = page.bytes.toString()
    expect(text).toMatch(/name="username"\s+value="[a-z]+-[a-z]+-\d{4}"/)
    expect(text).not.toContain('<script')
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(/^default-src 'none'; style-src 'sha256-[^;]*; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    }) // prettier-ignore
    expect(page.headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('makes the account once, an administrator if the link says so', async () => {
    const token = await link({ isAdmin: true })
    const done = await send(token, 'first', 'correct horse battery')
    expect(done.status).toBe(200)
    expect(done.bytes.toString()).toContain('@first:lethe.test')
    expect((await login('first', 'correct horse battery')).status).toBe(200)
    const { rows } = await server.ctx.db.pool.query('SELECT is_admin FROM accounts')
    expect(rows).toEqual([{ is_admin: true }])
    expect((await show(token)).status).toBe(404)
    expect((await send(token, 'second', 'correct horse battery')).status).toBe(404)
    expect((await server.ctx.db.pool.query('SELECT * FROM join_links')).rows).toHaveLength(1)
  })

  it('is used up by one of two who send it at once', async () => {
    const token = await link()
    const both = await Promise.all(['left', 'right'].map(name => send(token, name, 'correct horse battery')))
    expect(both.map(done => done.status).sort()).toEqual([200, 404])
  })

  it('is not used up by what is refused, and shows again what was typed, harmlessly', async () => {
    const token = await link()
    const bad = await send(token, '"><script>alert(1)</script>', 'correct horse battery')
    expect(bad.status).toBe(400)
    expect(bad.bytes.toString()).toContain('value="&quot;&gt;&lt;script&gt;')
    expect(bad.bytes.toString()).not.toContain('<script')
    const weak = await send(token, 'weakling', '<b>short')
    expect(weak.status).toBe(200)
    const other = await link()
    const taken = await send(other, 'weakling', 'correct horse battery')
    expect(taken.status).toBe(400)
    expect(taken.bytes.toString()).toContain('role="alert"')
    expect((await send(other, 'strong', '1234567')).status).toBe(400)
    expect((await send(other, 'strong', 'correct horse battery')).status).toBe(200)
  })

  it('can be made for several', async () => {
    const token = await link({ usesAllowed: 2 })
    expect((await send(token, 'one', 'correct horse battery')).status).toBe(200)
    expect((await send(token, 'two', 'correct horse battery')).status).toBe(200)
    expect((await send(token, 'three', 'correct horse battery')).status).toBe(404)
  })

  it('expires', async () => {
    const token = await link()
    await server.clock.advance(60_000)
    expect((await show(token)).status).toBe(404)
    expect((await send(token, 'late', 'correct horse battery')).status).toBe(404)
  })

  it.each(['x', 'ltj_x', 'a%00b'])('is not to be had under %j', async token => {
    const done = await show(token)
    expect([400, 404]).toContain(done.status)
  })

  it('takes forms only, and small ones', async () => {
    const token = await link()
    const json = await post(token, '{}', 'application/json')
    expect(json.status).toBe(400)
    expect((await send(token, 'x'.repeat(20_000), 'correct horse battery')).status).toBe(413)
  })
})
