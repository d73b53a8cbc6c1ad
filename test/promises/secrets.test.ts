import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createJoinLink } from '../../src/accounts/join-links.ts'
import { newRecoveryCode } from '../../src/accounts/recovery.ts'
import { parseUserId } from '../../src/protocol/identifiers.ts'
import { accountByUserId } from '../../src/storage/accounts.ts'
import { isJsonObject } from '../../src/protocol/json.ts'
import { nobody, register, text } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const sharedSecret = 'canary-shared-secret'
const password = 'canary-password-of-alice'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    settings: { registration: { shared_secret: sharedSecret }, login: { token: { enabled: true } } },
  })
})
afterAll(() => server.close())

/** A text as a scan of the database would meet it: in clear, or as bytes. */
function forms(label: string, secret: string): Record<string, string> {
  return { [label]: secret, [`${label}, as bytes`]: Buffer.from(secret).toString('hex') }
}

describe('promise 14: secrets are stored only as hashes', () => {
  it('whatever lets anybody in is nowhere in the database', async () => {
    const secrets = Object.entries(await everySecret())
    const wanted = Object.fromEntries(secrets.flatMap(([label, secret]) => Object.entries(forms(label, secret))))
    expect(Object.values(wanted).every(secret => secret.length > 8)).toBe(true)
    expect(await tablesThatHold(server.ctx.db, wanted)).toEqual({})
  })

  it('and a scan would find it if it were', async () => {
    await server.ctx.db.pool.query('CREATE TABLE leaks (clear text, bytes bytea)')
    await server.ctx.db.pool.query('INSERT INTO leaks VALUES ($1, $2)', [sharedSecret, Buffer.from(password)])
    const found = await tablesThatHold(server.ctx.db, {
      ...forms('shared', sharedSecret),
      ...forms('password', password),
    })
    await server.ctx.db.pool.query('DROP TABLE leaks')
    expect(Object.keys(found)).toEqual(expect.arrayContaining(['shared', 'password, as bytes']))
  })
})

/** One of each kind of secret, all of them good at this moment. */
async function everySecret() {
  const alice = await register(server)
  const userId = parseUserId(alice.userId)
  const account = userId && (await accountByUserId(server.ctx.db.kysely, userId))
  const begun = await nobody(server).request('POST', '/register', { username: 'begun', password })
  await alice.post('/account/password', {
    new_password: password,
    logout_devices: false,
    auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: alice.userId }, password: alice.password },
  })
  const session = { type: 'm.login.password', identifier: { type: 'm.id.user', user: alice.userId }, password }
  const phone = await nobody(server).post('/login', { ...session, refresh_token: true })
  const made = await alice.request('POST', '/_matrix/client/v1/login/get_token', {
    auth: { type: 'm.login.password', identifier: session.identifier, password },
  })
  return {
    'shared secret': sharedSecret,
    password,
    'access token': text(phone, 'access_token'),
    'older access token': alice.accessToken,
    'refresh token': text(phone, 'refresh_token'),
    'recovery code': (await newRecoveryCode(server.ctx, account?.userNumber ?? 0)).replaceAll('-', ''),
    'join link': await createJoinLink(server.ctx, { isAdmin: true, usesAllowed: 1, lifetimeMs: 60_000 }),
    'interactive session': isJsonObject(begun.json) ? text(begun.json, 'session') : '',
    'login token': isJsonObject(made.json) ? text(made.json, 'login_token') : '',
  }
}
