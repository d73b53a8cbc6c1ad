import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { exchange } from '../harness/exchange.ts'
import { nobody, Person, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { tablesThatHold } from '../harness/scan.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

/** Registers with a body that says nothing but how the stages are passed. */
async function registerWithNothing(more: JsonObject = {}): Promise<JsonObject> {
  const asked = await nobody(server).request('POST', '/register', more)
  expect(asked.status).toBe(401)
  const session = isJsonObject(asked.json) ? text(asked.json, 'session') : ''
  return nobody(server).post('/register', { ...more, auth: { type: 'm.login.dummy', session } })
}

describe('promise 16: one can register with nothing', () => {
  it('gets a pseudonym, a session and a recovery code', async () => {
    const made = await registerWithNothing()
    expect(made['user_id']).toMatch(/^@[a-z]+-[a-z]+-\d{4}:lethe\.test$/)
    const person = new Person(server.url, made, '')
    expect((await person.get('/account/whoami'))['user_id']).toBe(made['user_id'])
    const code = text(made, 'lethe.recovery_code')
    expect(code).toMatch(/^([A-Z]{4}-){6}[A-Z]{4}$/)
    // The code is shown this once: the database does not know it.
    expect(await tablesThatHold(server.ctx.db, { code, letters: code.replaceAll('-', '') })).toEqual({})
    const password = 'a wholly new password'
    const done = await exchange(server.url, {
      method: 'POST',
      target: '/recover',
      body: new URLSearchParams({ username: text(made, 'user_id'), code, password }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(done.status).toBe(200)
    await nobody(server).post('/login', { type: 'm.login.password', user: text(made, 'user_id'), password })
  })

  it('gets another pseudonym each time', async () => {
    const names = await Promise.all([1, 2, 3].map(async () => (await registerWithNothing())['user_id']))
    expect(new Set(names).size).toBe(3)
  })

  it('gets no code by the way when a password is set: there is a page for it', async () => {
    const made = await registerWithNothing({ password: 'correct horse battery' })
    expect(made).not.toHaveProperty('lethe.recovery_code')
  })

  it('can be asked for no address: no column could hold one, and no request adds one', async () => {
    const { rows } = await server.ctx.db.pool.query<{ name: string }>(
      `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
       WHERE table_schema = 'public' AND column_name ~ 'mail|phone|msisdn|threepid|address|medium'`,
    )
    expect(rows).toEqual([])
    const made = await registerWithNothing()
    const person = new Person(server.url, made, '')
    for (const target of ['/account/3pid/email/requestToken', '/register/email/requestToken', '/account/3pid/add']) {
      const body = { client_secret: 'secret', email: 'canary@example.org', send_attempt: 1, sid: '1' }
      expect((await person.request('POST', target, body)).status).toBeGreaterThanOrEqual(400)
    }
    expect(await tablesThatHold(server.ctx.db, { address: 'canary@example.org' })).toEqual({})
  })
})
