import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { listMember, jsonObject, objectMember, stringMember } from '../../bench/answers.ts'
import { olderMessages, sendMessage, type Person } from '../../bench/calls.ts'
import { House } from '../../bench/scale/house.ts'
import { compareCosts, compareJoins, compareSweeps, measureRelations } from '../../bench/scale/measure.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const few = { send: 3, page: 3, news: 3, absence: 3, firstSync: 3, join: 3, sweep: 1 }

let server: TestServer
let house: House
let writer: Person
let reader: Person

beforeAll(async () => {
  server = await startTestServer({ clock: 'system', loops: [] })
  house = new House(server)
  writer = await house.person()
  reader = await house.person()
  await house.makeRooms(writer, reader, 2, 1)
})
afterAll(async () => {
  await house.close()
  await server.close()
})

it('fills rooms with messages as clients would have sent them', async () => {
  await house.fill(writer, 100, () => undefined)
  const [first] = house.rooms
  if (first === undefined) throw new Error('no room')
  const page = jsonObject(await house.call(olderMessages(writer, first, null)))
  const messages = listMember(page, 'chunk').map(event => objectMember({ event }, 'event'))
  const bodies = messages.flatMap(event => {
    const { body } = objectMember(event, 'content')
    return typeof body === 'string' ? [{ body, event }] : []
  })
  expect(bodies).toHaveLength(50)
  expect(new Set(bodies.map(({ body }) => body.length))).toEqual(new Set([100]))
  // A repetition of the request is answered with the event that was made.
  const [newest] = bodies
  if (newest === undefined) throw new Error('no message')
  const transactionId = stringMember(objectMember(newest.event, 'unsigned'), 'transaction_id')
  const answer = await house.call({ ...sendMessage(writer, first, transactionId, 'again'), keepBody: true })
  expect(stringMember(jsonObject(answer), 'event_id')).toBe(stringMember(newest.event, 'event_id'))
})

it('measures every cost by turns, joins of small and large rooms, sweeps, and every table', async () => {
  const site = { house, writer, reader }
  const [costs = [], again = []] = await compareCosts([site, site], 1, few)
  expect(costs.map(({ name }) => name)).toEqual(['send, room at rest', 'send', 'page of 50', 'incremental sync', 'sync after an absence', 'first sync']) // prettier-ignore
  for (const { p10Ms, p50Ms } of [...costs, ...again]) expect([p10Ms > 0, p50Ms >= p10Ms]).toEqual([true, true])
  expect(again).toHaveLength(costs.length)
  const people = await Promise.all(Array.from({ length: 4 }, () => house.person()))
  const joins = await compareJoins(site, people, [10, 60], few)
  expect(joins.map(({ p50Ms }) => p50Ms > 0)).toEqual([true, true])
  const events = (await measureRelations(house)).filter(({ table }) => table === 'events')
  expect(events.map(({ name }) => name)).toEqual(expect.arrayContaining(['events', 'events_pkey']))
  for (const { sizeBytes } of events) expect(sizeBytes).toBeGreaterThan(0)
})

it('sweeps the oldest messages of the last rooms', async () => {
  // Six turns warm up, each takes 500 messages.
  await house.fill(writer, 4_000, () => undefined)
  const [cost] = await compareSweeps([{ house, writer, reader }], few)
  expect(cost?.p50Ms).toBeGreaterThan(0)
  const { rows } = await house.server.ctx.db.pool.query<{ left: number }>(
    'SELECT count(*) AS left FROM events WHERE state_key_number IS NULL',
  )
  expect(rows[0]?.left).toBeLessThan(1_600)
})
