import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { inventory } from '../../src/privacy/inventory.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { TestClock } from '../harness/clock.ts'
import { at, path, type Person, register } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { day, hour, populatedRoom } from './rooms.ts'

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  // Dates that the database writes are the machine's.
  server = await startTestServer({ loops: [], settings: plainly, clock: new TestClock(Date.now()) })
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())

const count = async (statement: string, values: readonly unknown[] = []) =>
  (await server.ctx.db.pool.query<{ count: number }>(`SELECT count(*) AS count FROM ${statement}`, [...values])).rows[0]
    ?.count

describe('promise 25: keys and queues do not linger', () => {
  it('promise 25: claimed one-time keys vanish, and messages to devices after 30 days', async () => {
    const key = { key: 'a'.repeat(43), signatures: { [bob.userId]: { [`ed25519:${bob.deviceId}`]: 'c2ln' } } }
    await bob.post('/keys/upload', { one_time_keys: { 'signed_curve25519:kiwi': key } })
    expect(await count('one_time_keys')).toBe(1)
    await alice.post('/keys/claim', { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } })
    expect(await tablesThatHold(server.ctx.db, { kiwi: 'kiwi' })).toEqual({})

    await alice.put('/sendToDevice/m.test/kiwi', {
      messages: { [bob.userId]: { [bob.deviceId]: { body: 'kiwimessage' } } },
    })
    await server.clock.advance(30 * day)
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { kiwi: 'kiwimessage' })).toEqual({ kiwi: ['to_device_messages'] })
    await server.clock.advance(1.5 * day)
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { kiwi: 'kiwimessage' })).toEqual({})
  })

  it('promise 25: a device that is not seen for 180 days is gone with its keys, one that is used stays', async () => {
    for (const person of [alice, bob]) await person.get('/account/whoami')
    const stays = await bob.login({ device_id: 'USED' })
    const goes = await bob.login({ device_id: 'UNUSED', initial_device_display_name: 'lychee' })
    await stays.get('/account/whoami')
    await server.clock.advance(179 * day)
    await sweep(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { goes: 'UNUSED' })).toMatchObject({
      goes: expect.arrayContaining(['devices']) as unknown,
    })
    await stays.get('/account/whoami')
    await alice.get('/account/whoami')
    await bob.get('/account/whoami')
    await server.clock.advance(2 * day)
    expect((await sweep(server.ctx))?.byKind.devices).toBeGreaterThanOrEqual(1)
    expect(await tablesThatHold(server.ctx.db, { goes: 'UNUSED', name: 'lychee' })).toEqual({})
    expect((await goes.request('GET', '/account/whoami')).status).toBe(401)
    expect((await stays.request('GET', '/account/whoami')).status).toBe(200)
  })

  it('promise 25: an invitation that nobody answers is declined after 90 days', async () => {
    const room = await alice.createRoom({ invite: [bob.userId] })
    const invited = async () => at(await bob.sync(), 'rooms', 'invite', room) !== undefined
    await server.clock.advance(90 * day)
    await sweep(server.ctx)
    expect(await invited()).toBe(true)
    await server.clock.advance(1)
    expect((await sweep(server.ctx))?.byKind.invites).toBe(1)
    expect(await invited()).toBe(false)
    expect(await alice.state(room, 'm.room.member', bob.userId)).toEqual({ membership: 'leave' })
  })

  it('promise 25: a room that everybody has left and forgotten is gone at once, with all that was in it', async () => {
    const { room, messages } = await populatedRoom(alice, bob, 'mulberry', null)
    await alice.put(path`/user/${alice.userId}/rooms/${room}/account_data/org.test`, { mulberry: 'mulberry' })
    await alice.leave(room)
    await bob.leave(room)
    await alice.post(path`/rooms/${room}/forget`)
    expect((await sweep(server.ctx))?.byKind.rooms).toBe(0)
    await bob.post(path`/rooms/${room}/forget`)
    expect((await sweep(server.ctx))?.byKind.rooms).toBe(1)
    const ids = Object.fromEntries(messages.map((id, index) => [`event ${index}`, id]))
    expect(await tablesThatHold(server.ctx.db, { mulberry: 'mulberry', room, ...ids })).toEqual({})
    // Nobody notices that it was there.
    expect([403, 404]).toContain((await alice.request('POST', path`/join/${room}`, {})).status)
    expect(await alice.sync()).toBeDefined()
  })

  it('promise 25: a room that everybody has left is gone after seven days, unless somebody comes back', async () => {
    const rooms = [
      await alice.createRoom({ preset: 'public_chat', name: 'quince' }),
      await alice.createRoom({ preset: 'public_chat', name: 'nectarine' }),
    ]
    for (const room of rooms) await bob.join(room)
    for (const room of rooms) for (const person of [alice, bob]) await person.leave(room)
    await server.clock.advance(7 * day - 1)
    expect((await sweep(server.ctx))?.byKind.rooms).toBe(0)
    await bob.join(rooms[1] ?? '')
    await server.clock.advance(2)
    expect((await sweep(server.ctx))?.byKind.rooms).toBe(1)
    expect(await tablesThatHold(server.ctx.db, { gone: 'quince', kept: 'nectarine' })).toEqual({ kept: ['events'] })
    await bob.send(rooms[1] ?? '', 'still here')
  })
})

describe('promise 17: no row is older than declared', () => {
  it('promise 17: in a quarter of a year of use under a lifetime, day after day', async () => {
    const room = await alice.createRoom({ preset: 'public_chat' })
    await alice.setState(room, 'm.room.retention', { max_lifetime: 3 * day })
    await bob.join(room)
    const startMs = server.clock.now()
    for (let today = 0; today < 90; today++) {
      const event = await alice.send(room, `day ${today}`)
      await bob.acknowledge(room, event)
      await bob.acknowledge(room, event, 'm.fully_read')
      await bob.send(room, { 'm.relates_to': { rel_type: 'm.annotation', event_id: event, key: '+' } }, 'm.reaction')
      if (today % 5 === 0) await alice.setState(room, 'm.room.topic', { topic: `topic of day ${today}` })
      await alice.put(`/sendToDevice/m.test/day${today}`, {
        messages: { [bob.userId]: { [bob.deviceId]: { day: today } } },
      })
      await server.clock.advance(day)
      await sweep(server.ctx)
      if (today % 10 !== 9) continue
      const nowMs = server.clock.now()
      const old = await overdueRows(nowMs)
      expect([today, old]).toEqual([today, {}])
      expect(
        await count(
          'events WHERE room_number = (SELECT room_number FROM rooms WHERE room_id = $1) AND state_key_number IS NULL',
          [room],
        ),
      ).toBeLessThanOrEqual(10)
      // Old topics are pruned; the one that stands is not.
      expect(
        await count(
          `superseded_state WHERE age_ts < $1 AND room_number = (SELECT room_number FROM rooms WHERE room_id = $2)`,
          [nowMs - 3 * day, room],
        ),
      ).toBe(0)
    }
    expect(server.clock.now() - startMs).toBeGreaterThanOrEqual(90 * day)
  }, 120_000)
})

/** How many rows of each table that the inventory gives days to, or a time of their own, are older than that. */
async function overdueRows(nowMs: number): Promise<Record<string, number>> {
  const { rows: columns } = await server.ctx.db.pool.query<{ table_name: string; column_name: string }>(
    `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'`,
  )
  const found: Record<string, number> = {}
  for (const [table, { lifetime }] of Object.entries(inventory)) {
    const has = (name: string) => columns.some(column => column.table_name === table && column.column_name === name)
    const note = async (condition: string, values: readonly unknown[]) => {
      const overdue = await count(`"${table}" WHERE ${condition}`, values)
      if (overdue !== 0) found[table] = overdue ?? 0
    }
    if (lifetime === 'until it expires') {
      const column = has('expires_ts') ? 'expires_ts' : 'remove_ts'
      await note(`${column} < $1`, [nowMs])
    } else if (typeof lifetime === 'object') {
      // Days are counted in whole ones.
      const before = new Date(nowMs - (lifetime.days + 1) * day).toISOString().slice(0, 10)
      const dated = ['sent_on', 'day'].find(has)
      const timed = ['created_ts', 'received_ts', 'used_ts'].find(has)
      if (table === 'log')
        await note('kind <> 1 AND position <= (SELECT max(position) FROM log_days WHERE day < $1::date)', [before])
      else if (table === 'log_days') await note('day < ($1::date - 1)', [before])
      else if (dated) await note(`${dated} < $1::date`, [before])
      else if (timed) await note(`${timed} < $1`, [nowMs - (lifetime.days + 1) * day])
    }
  }
  return found
}

describe('what is due', () => {
  it('is found by its own clock in many rooms at once', async () => {
    const rooms = []
    for (let index = 0; index < 3; index++) rooms.push(await populatedRoom(alice, bob, `medlar${index}`, hour))
    await server.clock.advance(hour + 1)
    const swept = await sweep(server.ctx)
    expect(swept?.byKind.messages).toBeGreaterThanOrEqual(rooms.reduce((sum, { messages }) => sum + messages.length, 0))
    expect(await tablesThatHold(server.ctx.db, { medlar: 'medlar' })).toEqual({})
  })
})
