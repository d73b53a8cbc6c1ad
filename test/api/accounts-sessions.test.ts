import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { authenticateToken } from '../../src/accounts/authenticate.ts'
import { systemClock } from '../../src/clock.ts'
import { type Context } from '../../src/context.ts'
import { silentLogger } from '../../src/log.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { openLog } from '../../src/storage/open-log.ts'
import { Caller, nobody, objectsAt, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

const whoami = async (accessToken: string) => {
  const done = await new Caller(server.url, accessToken).request('GET', '/account/whoami')
  const body = done.json as JsonObject
  return done.status === 200 ? 'good' : body.soft_logout === true ? 'soft' : String(body.errcode)
}
const refresh = async (refreshToken: string | null) => {
  const done = await nobody(server).request('POST', '/refresh', { refresh_token: refreshToken ?? '' })
  const body = done.json as JsonObject
  if (done.status === 200) return { access: text(body, 'access_token'), refresh: text(body, 'refresh_token') }
  expect(done.status).toBe(401)
  expect(body.errcode).toBe('M_UNKNOWN_TOKEN')
  return body.soft_logout === true ? 'soft' : 'gone'
}
const refreshed = async (refreshToken: string | null) => {
  const tokens = await refresh(refreshToken)
  if (typeof tokens === 'string') throw new Error(`refused: ${tokens}`)
  return tokens
}
const rows = async (query: string, ...values: unknown[]) => (await server.ctx.db.pool.query(query, values)).rows
const deviceIds = async (person: Person) =>
  objectsAt(await person.get('/devices'), 'devices').map(each => each.device_id)

describe('access tokens', () => {
  it.each([
    ['nothing', '', 'M_MISSING_TOKEN'],
    ['the word null', 'null', 'M_UNKNOWN_TOKEN'],
    ['a made-up token', 'lta_x', 'M_UNKNOWN_TOKEN'],
    ['ten kilobytes', 'a'.repeat(10_000), 'M_UNKNOWN_TOKEN'],
  ])('are not %s', async (_what, token, errcode) => {
    const headers = { authorization: `Bearer ${token}` }
    const done = await nobody(server).request('GET', '/account/whoami', undefined, { headers })
    expect(done.status).toBe(401)
    expect(done.json).toMatchObject({ errcode })
  })

  it('are not taken from another scheme', async () => {
    const person = await register(server)
    const headers = { authorization: `Basic ${person.accessToken}` }
    const done = await nobody(server).request('GET', '/account/whoami', undefined, { headers })
    expect(done.json).toMatchObject({ errcode: 'M_MISSING_TOKEN' })
  })

  it('are kept as hashes only', async () => {
    const person = await (await register(server)).login({ refresh_token: true })
    const kept = JSON.stringify(await rows("SELECT encode(token_hash, 'escape'), device_id FROM access_tokens"))
    expect(kept).not.toContain(person.accessToken)
    expect(kept).toContain(person.deviceId)
  })

  it('without refreshing do not expire', async () => {
    const person = await register(server)
    await server.clock.advance(400 * 24 * 60 * 60 * 1000)
    expect(await whoami(person.accessToken)).toBe('good')
  })

  it('cost one read of the database and then none, until something changes', async () => {
    const person = await register(server)
    expect(await authenticateToken(server.ctx, person.accessToken)).toBe(
      await authenticateToken(server.ctx, person.accessToken),
    )
    await person.post('/logout')
    await expect(authenticateToken(server.ctx, person.accessToken)).rejects.toMatchObject({
      errcode: 'M_UNKNOWN_TOKEN',
    })
  })
})

describe('logging out', () => {
  it('ends the device and its tokens, and leaves the others', async () => {
    const first = await register(server)
    const second = await first.login()
    await second.post('/logout')
    expect(await whoami(second.accessToken)).toBe('M_UNKNOWN_TOKEN')
    expect(await whoami(first.accessToken)).toBe('good')
    expect(await deviceIds(first)).toEqual([first.deviceId])
  })

  it('everywhere ends all of them', async () => {
    const first = await register(server)
    const second = await first.login({ refresh_token: true })
    await first.post('/logout/all')
    expect(await whoami(first.accessToken)).toBe('M_UNKNOWN_TOKEN')
    expect(await whoami(second.accessToken)).toBe('M_UNKNOWN_TOKEN')
    expect(await refresh(second.refreshToken)).toBe('gone')
  })

  it('is told to other processes, which forget what they remembered', async () => {
    const db = openDatabase(server.database.connection, silentLogger, { poolSize: 2 })
    const log = await openLog({
      db, numbers: server.ctx.numbers, clock: systemClock, logger: silentLogger, newEpoch: 'unused', processId: 'another',
    }) // prettier-ignore
    const another: Context = { ...server.ctx, db, log }
    try {
      const person = await register(server)
      expect((await authenticateToken(another, person.accessToken)).userId).toBe(person.userId)
      await person.post('/logout')
      await log.reached(server.ctx.log.head, 5_000)
      await expect(authenticateToken(another, person.accessToken)).rejects.toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
    } finally {
      await log.close()
      await db.close()
    }
  })
})

describe('refreshing', () => {
  const minutes = (count: number) => server.clock.advance(count * 60_000)
  const session = async () => (await register(server)).login({ refresh_token: true })

  it('gives new tokens; the old access token expires softly', async () => {
    const person = await session()
    const next = await refreshed(person.refreshToken)
    expect(await whoami(next.access)).toBe('good')
    expect(await whoami(person.accessToken)).toBe('good')
    await minutes(5)
    expect(await whoami(person.accessToken)).toBe('soft')
    expect(await whoami(next.access)).toBe('soft')
    expect(await whoami((await refreshed(next.refresh)).access)).toBe('good')
  })

  it('can be repeated while the answer was not used', async () => {
    const person = await session()
    await refreshed(person.refreshToken)
    const again = await refreshed(person.refreshToken)
    expect(await whoami(again.access)).toBe('good')
    expect(await whoami((await refreshed(again.refresh)).access)).toBe('good')
  })

  it('takes either of two answers that crossed, whichever is used first', async () => {
    const person = await session()
    const first = await refreshed(person.refreshToken)
    await refreshed(person.refreshToken)
    const next = await refreshed(first.refresh)
    expect(await whoami(next.access)).toBe('good')
  })

  it('ends the session when a token is used whose successor was used for refreshing', async () => {
    const person = await session()
    const next = await refreshed(person.refreshToken)
    const third = await refreshed(next.refresh)
    expect(await refresh(person.refreshToken)).toBe('gone')
    expect(await whoami(third.access)).toBe('M_UNKNOWN_TOKEN')
    expect(await refresh(third.refresh)).toBe('gone')
  })

  it("ends the session when a token is used whose successor's access token was used", async () => {
    const person = await session()
    const next = await refreshed(person.refreshToken)
    expect(await whoami(next.access)).toBe('good')
    expect(await refresh(person.refreshToken)).toBe('gone')
    expect(await whoami(next.access)).toBe('M_UNKNOWN_TOKEN')
    const others = await rows('SELECT device_id FROM devices WHERE device_id = $1', person.deviceId)
    expect(others).toEqual([])
  })

  it('knows a stolen token however old it is, and keeps one row for the session', async () => {
    const person = await session()
    let newest = await refreshed(person.refreshToken)
    for (let round = 0; round < 20; round += 1) {
      expect(await whoami(newest.access)).toBe('good')
      newest = await refreshed(newest.refresh)
    }
    const families = await rows('SELECT * FROM refresh_tokens WHERE device_id = $1', person.deviceId)
    const tokens = await rows('SELECT * FROM access_tokens WHERE device_id = $1', person.deviceId)
    expect(families).toHaveLength(1)
    expect(tokens.length).toBeLessThanOrEqual(2)
    expect(await refresh(person.refreshToken)).toBe('gone')
    expect(await refresh(newest.refresh)).toBe('gone')
  })

  it('the sibling that was not used is worth nothing, and presenting it ends the session', async () => {
    const person = await session()
    const thief = await refreshed(person.refreshToken)
    const owner = await refreshed(person.refreshToken)
    expect(await whoami(owner.access)).toBe('good')
    expect(await refresh(thief.refresh)).toBe('gone')
    expect(await whoami(owner.access)).toBe('M_UNKNOWN_TOKEN')
  })

  it('the token before the one that two answers came from is stolen too', async () => {
    const person = await session()
    const second = await refreshed(person.refreshToken)
    const third = await refreshed(second.refresh)
    await refreshed(second.refresh)
    expect(await refresh(person.refreshToken)).toBe('gone')
    expect(await refresh(third.refresh)).toBe('gone')
  })

  it('is over after half a year, softly', async () => {
    const person = await session()
    await minutes(180 * 24 * 60)
    expect(await refresh(person.refreshToken)).toBe('soft')
    expect(await whoami(person.accessToken)).toBe('soft')
  })

  it.each(['', 'ltr_x', 'x'.repeat(77)])('does not take %j', async token => {
    expect(await refresh(token)).toBe('gone')
  })
})

describe('devices', () => {
  const auth = (person: Person) => ({ type: 'm.login.password', password: person.password })

  it('are listed with the day on which they were seen', async () => {
    const person = await register(server)
    const day = Math.floor(server.clock.now() / 86_400_000) * 86_400_000
    expect(await person.get('/devices')).toEqual({ devices: [{ device_id: person.deviceId, last_seen_ts: day }] })
  })

  it('are seen once a day, and the day is all that is written', async () => {
    const person = await register(server)
    const seen = async () =>
      (await rows('SELECT last_seen_on::text FROM devices WHERE device_id = $1', person.deviceId))[0]
    const before = await seen()
    await server.clock.advance(24 * 60 * 60 * 1000)
    await person.get('/account/whoami')
    const today = new Date(server.clock.now()).toISOString().slice(0, 10)
    for (let tries = 0; tries < 100 && (await seen()).last_seen_on !== today; tries += 1) await person.get('/devices')
    expect(await seen()).toEqual({ last_seen_on: today })
    expect(await seen()).not.toEqual(before)
  })

  it('can be named', async () => {
    const person = await register(server)
    const path = `/devices/${person.deviceId}`
    await person.put(path, { display_name: 'My phone' })
    await person.put(path, {})
    expect(await person.get(path)).toMatchObject({ display_name: 'My phone' })
    expect((await person.request('PUT', path, { display_name: 'x'.repeat(101) })).status).toBe(400)
    expect((await person.request('PUT', path, { display_name: 'a\u0000b' })).status).toBe(400)
  })

  it('of others, and those that are not there, are not found', async () => {
    const person = await register(server)
    const other = await register(server)
    for (const deviceId of [other.deviceId, 'unknown', 'a%00b']) {
      const got = await person.request('GET', `/devices/${deviceId}`)
      const put = await person.request('PUT', `/devices/${deviceId}`, { display_name: 'x' })
      expect([got.status, put.status]).toEqual(deviceId === 'a%00b' ? [400, 400] : [404, 404])
    }
  })

  it('are deleted with a password, and with them their tokens and what waits for them', async () => {
    const person = await register(server)
    const other = await person.login()
    const path = `/devices/${other.deviceId}`
    const asked = await person.request('DELETE', path)
    expect(asked.status).toBe(401)
    expect(asked.json).toMatchObject({ session: expect.any(String), flows: expect.any(Array), params: {} })
    await person.delete(path, { auth: auth(person) })
    expect(await whoami(other.accessToken)).toBe('M_UNKNOWN_TOKEN')
    expect((await person.request('GET', path)).status).toBe(404)
    await person.delete(path, { auth: auth(person) })
  })

  it('proof for deleting one is no proof for deleting another', async () => {
    const person = await register(server)
    const [first, second] = [await person.login(), await person.login()]
    const asked = await person.request('DELETE', `/devices/${first.deviceId}`)
    const session = text(asked.json as JsonObject, 'session')
    const page = `/auth/m.login.password/fallback/web?session=${encodeURIComponent(session)}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    await nobody(server).request('POST', page, `answer=${encodeURIComponent(person.password)}`, { headers })
    const body = { auth: { session } }
    expect((await person.request('DELETE', `/devices/${second.deviceId}`, body)).status).toBe(401)
    expect((await second.request('GET', '/account/whoami')).status).toBe(200)
  })

  it('are deleted many at once, and what is no device is passed over', async () => {
    const person = await register(server)
    const others = [await person.login(), await person.login()]
    const stranger = await register(server)
    const devices = [...others.map(each => each.deviceId), stranger.deviceId, 'unknown', 'a\u0000b', '']
    await person.post('/delete_devices', { devices, auth: auth(person) })
    expect(await deviceIds(person)).toEqual([person.deviceId])
    expect(await whoami(stranger.accessToken)).toBe('good')
  })

  it('that log in again get new tokens for their old ones, and keep their name', async () => {
    const person = await register(server)
    const named = await person.login({ device_id: 'PHONE', initial_device_display_name: 'My phone' })
    const again = await person.login({ device_id: 'PHONE', initial_device_display_name: 'Another name' })
    expect(again.deviceId).toBe('PHONE')
    expect(await whoami(named.accessToken)).toBe('M_UNKNOWN_TOKEN')
    expect(await person.get('/devices/PHONE')).toMatchObject({ display_name: 'My phone' })
  })

  describe('have keys', () => {
    const giveKeys = async (person: Person) => {
      await rows(
        `INSERT INTO device_keys (user_number, device_id, keys)
         SELECT user_number, $2, '{}' FROM users WHERE user_id = $1`,
        person.userId,
        person.deviceId,
      )
    }
    const keysOf = (person: Person) => rows('SELECT keys FROM device_keys WHERE device_id = $1', person.deviceId)

    it('that stay when the device logs in again, as bots do at each start', async () => {
      const owner = await register(server)
      const device = await owner.login({ device_id: 'BOT' })
      await giveKeys(device)
      await owner.login({ device_id: 'BOT' })
      expect(await keysOf(device)).toHaveLength(1)
    })

    it('that stay when the device comes back after a soft logout', async () => {
      const owner = await register(server)
      const device = await owner.login({ device_id: 'SOFT', refresh_token: true })
      await giveKeys(device)
      await server.clock.advance(5 * 60_000)
      expect(await whoami(device.accessToken)).toBe('soft')
      await owner.login({ device_id: 'SOFT' })
      expect(await keysOf(device)).toHaveLength(1)
    })

    it('that go with them', async () => {
      const device = await register(server)
      await giveKeys(device)
      await device.post('/logout')
      expect(await keysOf(device)).toEqual([])
    })
  })

  it('do not take the ID of a cross-signing key', async () => {
    const person = await register(server)
    const key = 'nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk'
    await rows(
      `INSERT INTO cross_signing_keys (user_number, usage, keys)
       SELECT user_number, 'master', $2 FROM users WHERE user_id = $1`,
      person.userId,
      JSON.stringify({ keys: { [`ed25519:${key}`]: key } }),
    )
    await expect(person.login({ device_id: key })).rejects.toMatchObject({ status: 403, errcode: 'M_FORBIDDEN' })
    expect((await person.login({ device_id: 'OTHER' })).deviceId).toBe('OTHER')
  })
})
