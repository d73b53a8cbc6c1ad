import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import {
  InteractiveAuthRequired,
  requireInteractiveAuth,
  type Stage,
  useProof,
} from '../../src/accounts/interactive-auth.ts'
import { authenticateToken } from '../../src/accounts/authenticate.ts'
import { MatrixError } from '../../src/errors.ts'
import { transaction } from '../../src/storage/database.ts'
import { nobody, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server, 'alice')
  bob = await register(server, 'bob')
})
afterAll(() => server.close())

const proofOf = (person: Person) => ({ type: 'm.login.password', password: person.password })
const deleteNone = (person: Person, body: JsonObject) => person.request('POST', '/delete_devices', body)
const sessionOf = (body: unknown) => text(body as JsonObject, 'session')

describe('interactive authentication at the endpoints', () => {
  it('asks, and is satisfied with the right password under its session', async () => {
    const asked = await deleteNone(alice, { devices: ['x'] })
    expect(asked.status).toBe(401)
    expect(asked.json).toEqual({ flows: [{ stages: ['m.login.password'] }], params: {}, session: expect.any(String) })
    const session = sessionOf(asked.json)
    expect((await deleteNone(alice, { devices: ['x'], auth: { ...proofOf(alice), session } })).status).toBe(200)
  })

  it('is satisfied without a session too', async () => {
    expect((await deleteNone(alice, { devices: ['x'], auth: proofOf(alice) })).status).toBe(200)
    const auth = { ...proofOf(alice), session: 'one that nobody gave out' }
    expect((await deleteNone(alice, { devices: ['x'], auth })).status).toBe(200)
  })

  it('says that a password is wrong, and goes on asking', async () => {
    const wrong = await deleteNone(alice, { devices: ['x'], auth: { ...proofOf(alice), password: 'wrong' } })
    expect(wrong.status).toBe(401)
    expect(wrong.json).toMatchObject({
      errcode: 'M_FORBIDDEN', error: expect.any(String), flows: [{ stages: ['m.login.password'] }], params: {},
      session: expect.any(String),
    }) // prettier-ignore
  })

  it.each(['m.login.dummy', 'm.login.registration_token', 'm.login.recaptcha', 'm.login.sso', '', 'password'])(
    'is not satisfied by the stage %j, which it does not ask for',
    async type => {
      const done = await deleteNone(alice, { devices: ['x'], auth: { type, token: 'x', password: alice.password } })
      expect(done.status).toBe(401)
      expect(done.json).toMatchObject({ errcode: 'M_UNRECOGNIZED', flows: [{ stages: ['m.login.password'] }] })
      expect(done.json).not.toHaveProperty('completed')
    },
  )

  it('accepts nobody else: another user named with the right password of theirs is forbidden', async () => {
    const auth = { ...proofOf(bob), identifier: { type: 'm.id.user', user: 'bob' } }
    const done = await deleteNone(alice, { devices: ['x'], auth })
    expect(done.status).toBe(403)
    expect((await deleteNone(alice, { devices: ['x'], auth: { ...auth, identifier: null, user: '@bob:lethe.test' } })).status).toBe(403) // prettier-ignore
  })

  it.each([
    ['a list', []],
    ['a text', 'm.login.password'],
    ['a number for a type', { type: 1 }],
    ['a number for a session', { type: 'm.login.password', session: 1 }],
    ['no password', { type: 'm.login.password' }],
  ])('refuses %s as auth', async (_what, auth) => {
    const done = await deleteNone(alice, { devices: ['x'], auth })
    expect(done.status).toBe(400)
  })

  it('binds a session to its user and its operation', async () => {
    const session = sessionOf((await deleteNone(alice, { devices: ['x'] })).json)
    const byBob = await deleteNone(bob, { devices: ['x'], auth: { ...proofOf(bob), session } })
    expect(byBob.status).toBe(403)
    const elsewhere = await alice.request('POST', '/account/deactivate', { auth: { ...proofOf(alice), session } })
    expect(elsewhere.status).toBe(403)
    expect((await alice.request('GET', '/account/whoami')).status).toBe(200)
  })

  it('lets a session end with its operation', async () => {
    const session = sessionOf((await deleteNone(alice, { devices: ['x'] })).json)
    expect((await deleteNone(alice, { devices: ['x'], auth: { ...proofOf(alice), session } })).status).toBe(200)
    expect((await deleteNone(alice, { devices: ['x'], auth: { session } })).status).toBe(401)
  })

  it('takes a stage that was completed on the fallback page, over the same body only', async () => {
    const session = sessionOf((await deleteNone(alice, { devices: ['x'] })).json)
    const page = `/auth/m.login.password/fallback/web?session=${encodeURIComponent(session)}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const wrong = await nobody(server).request('POST', page, 'answer=wrong', { headers })
    expect(wrong.status).toBe(403)
    const answer = `answer=${encodeURIComponent(alice.password)}`
    expect((await nobody(server).request('POST', page, answer, { headers })).status).toBe(200)
    expect((await deleteNone(alice, { devices: ['y'], auth: { session } })).status).toBe(401)
    expect((await deleteNone(alice, { devices: ['x'], auth: { session } })).status).toBe(401)
    const again = sessionOf((await deleteNone(alice, { devices: ['x'] })).json)
    await nobody(server).request('POST', page.replace(encodeURIComponent(session), encodeURIComponent(again)), answer, { headers }) // prettier-ignore
    expect((await deleteNone(alice, { devices: ['x'], auth: { session: again } })).status).toBe(200)
  })

  it('shows the fallback page without scripts and without frames', async () => {
    const page = await nobody(server).request('GET', '/auth/m.login.password/fallback/web?session=%3Cscript%3E')
    expect(page.status).toBe(200)
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
    expect(page.bytes.toString()).not.toContain('<script>')
    const unknown = await nobody(server).request('GET', '/auth/m.login.magic/fallback/web?session=x')
    expect(unknown.status).toBe(400)
  })

  it('keeps no password, neither the old nor the new one', async () => {
    const canary = 'canary of a new password'
    const body = { new_password: canary }
    const session = sessionOf((await bob.request('POST', '/account/password', body)).json)
    await bob.request('POST', '/account/password', {
      ...body,
      auth: { ...proofOf(bob), password: 'canary wrong', session },
    })
    const { rows } = await server.ctx.db.pool.query('SELECT * FROM interactive_auth_sessions')
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain('canary')
    expect(JSON.stringify(rows)).not.toContain(session)
  })
})

describe('flows of several stages', () => {
  const flows: readonly (readonly Stage[])[] = [
    ['m.login.dummy', 'm.login.password'],
    ['m.login.registration_token', 'm.login.dummy'],
  ]
  const attempt = async (body: JsonObject, operation = 'POST /test') => {
    const user = await authenticateToken(server.ctx, alice.accessToken)
    try {
      return await requireInteractiveAuth(server.ctx, { operation, user, body, flows, addressKey: 'here' })
    } catch (error) {
      if (error instanceof MatrixError) return error
      throw error
    }
  }
  const challengeOf = (outcome: unknown) => {
    if (!(outcome instanceof InteractiveAuthRequired)) throw new Error('no challenge')
    return outcome.toJSON()
  }

  it('are completed in order, one request for each stage', async () => {
    const session = sessionOf(challengeOf(await attempt({ wish: 1 })))
    const early = challengeOf(await attempt({ wish: 1, auth: { ...proofOf(alice), session } }))
    expect(early).toMatchObject({ errcode: 'M_UNRECOGNIZED', session })
    const half = challengeOf(await attempt({ wish: 1, auth: { type: 'm.login.dummy', session } }))
    expect(half).toMatchObject({ completed: ['m.login.dummy'], session })
    expect(half).not.toHaveProperty('errcode')
    const wrong = challengeOf(await attempt({ wish: 1, auth: { ...proofOf(alice), password: 'wrong', session } }))
    expect(wrong).toMatchObject({ completed: ['m.login.dummy'], errcode: 'M_FORBIDDEN' })
    const proof = await attempt({ wish: 1, auth: { ...proofOf(alice), session } })
    if (proof instanceof MatrixError) throw proof
    await transaction(server.ctx.db, tx => useProof(server.ctx, tx, proof))
    await expect(transaction(server.ctx.db, tx => useProof(server.ctx, tx, proof))).rejects.toThrow('used already')
  })

  it('may have a completed stage repeated, which changes nothing', async () => {
    const first = challengeOf(await attempt({ auth: { type: 'm.login.dummy' } }))
    const session = sessionOf(first)
    const second = challengeOf(await attempt({ auth: { type: 'm.login.dummy', session } }))
    expect(second).toMatchObject({ completed: ['m.login.dummy'], session })
  })

  it('begin again when the body changes', async () => {
    const session = sessionOf(challengeOf(await attempt({ wish: 1, auth: { type: 'm.login.dummy' } })))
    const changed = challengeOf(await attempt({ wish: 2, auth: { ...proofOf(alice), session } }))
    expect(changed).toMatchObject({ errcode: 'M_UNRECOGNIZED', session })
    expect(changed).not.toHaveProperty('completed')
  })

  it('do not mind the order of keys in the body', async () => {
    const session = sessionOf(challengeOf(await attempt({ a: 1, b: { c: 1, d: 2 }, auth: { type: 'm.login.dummy' } })))
    const proof = await attempt({ auth: { ...proofOf(alice), session }, b: { d: 2, c: 1 }, a: 1 })
    expect(proof).not.toBeInstanceOf(MatrixError)
  })

  it('cannot be mixed', async () => {
    const session = sessionOf(challengeOf(await attempt({ auth: { type: 'm.login.dummy' } })))
    const mixed = challengeOf(await attempt({ auth: { type: 'm.login.registration_token', token: 'x', session } }))
    expect(mixed).toMatchObject({ errcode: 'M_UNRECOGNIZED', completed: ['m.login.dummy'] })
  })

  it('are forgotten after an hour', async () => {
    const session = sessionOf(challengeOf(await attempt({ auth: { type: 'm.login.dummy' } })))
    await server.clock.advance(60 * 60 * 1000)
    const late = challengeOf(await attempt({ auth: { ...proofOf(alice), session } }))
    expect(late).not.toHaveProperty('completed')
  })
})
