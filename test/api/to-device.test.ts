import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

/** What waits for a device: every sync without a token tells it again. */
async function waiting(person: Person): Promise<unknown[][]> {
  const events = objectsAt(await person.sync(), 'to_device', 'events')
  return events.map(({ sender, type, content }) => [sender, type, content])
}

const send = (from: Person, messages: JsonObject, type = 'm.test', transactionId = from.nextTransactionId()) =>
  from.request('PUT', path`/sendToDevice/${type}/${transactionId}`, { messages })

describe('PUT /sendToDevice', () => {
  it('sends to the devices that are named, of several users', async () => {
    const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
    const bobsOther = await bob.login()
    const done = await send(alice, {
      [bob.userId]: { [bob.deviceId]: { for: 'bob' } },
      [carol.userId]: { [carol.deviceId]: { for: 'carol' } },
    })
    expect([done.status, done.json]).toEqual([200, {}])
    expect(await waiting(bob)).toEqual([[alice.userId, 'm.test', { for: 'bob' }]])
    expect(await waiting(carol)).toEqual([[alice.userId, 'm.test', { for: 'carol' }]])
    expect(await waiting(bobsOther)).toEqual([])
  })

  it('sends to all devices of a user under *, and to a named one what is meant for it', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const second = await bob.login()
    const third = await bob.login()
    await send(alice, { [bob.userId]: { '*': { for: 'all' }, [second.deviceId]: { for: 'second' } } })
    expect((await Promise.all([bob, second, third].map(waiting))).flat().map(([, , content]) => content)).toEqual([
      { for: 'all' },
      { for: 'second' },
      { for: 'all' },
    ])
  })

  it('keeps contents as they are', async () => {
    const alice = await register(server)
    const content = { list: [1, 1.5, null], 'a\0b': '\u2028', __proto: { nested: true } }
    await send(alice, { [alice.userId]: { [alice.deviceId]: content } })
    expect(await waiting(alice)).toEqual([[alice.userId, 'm.test', content]])
  })

  it('sends once for each transaction ID, type and device', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const second = await alice.login()
    const messages = { [bob.userId]: { [bob.deviceId]: {} } }
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(alice, messages, 'm.test', 'same')))
    expect(answers.map(answer => answer.status)).toEqual(Array.from({ length: 8 }, () => 200))
    expect(await waiting(bob)).toHaveLength(1)
    await send(alice, messages, 'm.other', 'same')
    await send(second, messages, 'm.test', 'same')
    expect(await waiting(bob)).toHaveLength(3)
  })

  it('delivers a hundred at a time, in order, and forgets what was received', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    let since = text(await bob.sync(), 'next_batch')
    for (let place = 0; place < 230; place += 1) await send(alice, { [bob.userId]: { [bob.deviceId]: { place } } })
    const received: unknown[] = []
    for (const expected of [100, 100, 30, 0]) {
      const again = await bob.sync({ since })
      const answer = await bob.sync({ since })
      expect(objectsAt(answer, 'to_device', 'events')).toEqual(objectsAt(again, 'to_device', 'events'))
      const events = objectsAt(answer, 'to_device', 'events')
      expect(events).toHaveLength(expected)
      received.push(...events.map(event => at(event, 'content', 'place')))
      since = text(answer, 'next_batch')
    }
    expect(received).toEqual(Array.from({ length: 230 }, (_, place) => place))
    expect(await waiting(bob)).toEqual([])
  })

  it('wakes a device that is waiting', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const since = text(await bob.sync(), 'next_batch')
    const answer = bob.sync({ since, timeout: 30_000 })
    await send(alice, { [bob.userId]: { '*': { hello: true } } })
    expect(objectsAt(await answer, 'to_device', 'events')).toMatchObject([{ content: { hello: true } }])
  })

  it('drops what is for devices and users that do not exist', async () => {
    const alice = await register(server)
    const before = server.ctx.log.head
    const done = await send(alice, { [alice.userId]: { NOPE: {} }, '@nobody-of-this-name:lethe.test': { '*': {} } })
    expect(done.status).toBe(200)
    expect(server.ctx.log.head).toBe(before)
  })

  it('drops what waits for a device that logs out', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const second = await bob.login()
    await send(alice, { [bob.userId]: { '*': { secret: true } } })
    await second.post('/logout')
    const { rows } = await server.ctx.db.pool.query(
      'SELECT device_id FROM to_device_messages JOIN users USING (user_number) WHERE user_id = $1',
      [bob.userId],
    )
    expect(rows).toEqual([{ device_id: bob.deviceId }])
  })

  it.each<[string, number, string, JsonObject]>([
    ['messages to what is no user', 400, 'M_INVALID_PARAM', { alice: { '*': {} } }],
    ['messages to a list', 400, 'M_INVALID_PARAM', { '@alice:lethe.test': [] }],
    ['a message that is no object', 400, 'M_INVALID_PARAM', { '@alice:lethe.test': { '*': 'hello' } }],
    ['a message of more than 64 KiB', 413, 'M_TOO_LARGE', { '@alice:lethe.test': { '*': { x: 'x'.repeat(65_536) } } }],
  ])('refuses %s', async (_name, status, errcode, messages) => {
    const alice = await register(server)
    const refused = await send(alice, messages)
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([status, errcode])
  })

  it('refuses a request without messages, and a type that cannot be one', async () => {
    const alice = await register(server)
    const bare = await alice.request('PUT', '/sendToDevice/m.test/t', {})
    expect([bare.status, at(bare.json, 'errcode')]).toEqual([400, 'M_MISSING_PARAM'])
    const odd = await alice.request('PUT', '/sendToDevice/m%00test/t', { messages: {} })
    expect([odd.status, at(odd.json, 'errcode')]).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('refuses what would fan out beyond all measure, and sends none of it', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    await server.ctx.db.pool.query(
      `INSERT INTO devices (user_number, device_id)
       SELECT user_number, 'D' || place FROM users, generate_series(1, 300) AS place WHERE user_id = $1`,
      [bob.userId],
    )
    const messages = { [bob.userId]: { '*': { x: 'x'.repeat(60_000) } } }
    const refused = await send(alice, messages)
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([413, 'M_TOO_LARGE'])
    expect(await waiting(bob)).toEqual([])
  })
})
