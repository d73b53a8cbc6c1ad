import { afterEach, describe, expect, it } from '@jest/globals'
import { type Logger, silentLogger } from '../../src/log.ts'
import { type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const hour = 3_600_000
const day = 24 * hour
const year = 365 * day

let server: TestServer
let alice: Person
let room: string
afterEach(() => server.close())

/** What the sweeper says of the clock. */
let said: string[]

async function begin(): Promise<void> {
  said = []
  const warn = (message: string) => void (/clock/i.test(message) && said.push(message))
  const logger: Logger = { ...silentLogger, warn }
  server = await startTestServer({ logger })
  alice = await register(server)
  room = await alice.createRoom()
  await alice.setState(room, 'm.room.retention', { max_lifetime: 30 * day })
}

/** Sends a message that the room is not built on. */
async function message(body: string): Promise<string> {
  const eventId = await alice.send(room, body)
  await alice.send(room, 'last')
  return eventId
}

/** Lets the sweeper go to work until something holds. */
async function sweepUntil(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 200) throw new Error('what the sweeper was to come to did not come')
    await server.clock.advance(server.config.retention.sweepInterval)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

const isThere = async (event: string) => Object.keys(await tablesThatHold(server.ctx.db, { event })).length > 0

describe('a clock that is set', () => {
  it('far ahead deletes nothing, and nothing is lost when it is set right', async () => {
    await begin()
    const quince = await message('quince')
    server.clock.set(400 * day)
    await sweepUntil(() => said.length > 0)
    expect(said[0]).toContain('nothing is deleted')
    expect(await isThere(quince)).toBe(true)
    server.clock.set(-400 * day)
    await sweepUntil(() => server.clock.monotonic() > 3 * hour)
    expect(await answerOf(alice, 'GET', `/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(quince)}`)).toEqual([200, null]) // prettier-ignore
    expect(await isThere(quince)).toBe(true)
  })

  it('far ahead is believed when it has stayed there for an hour', async () => {
    await begin()
    const medlar = await message('medlar')
    server.clock.set(400 * day)
    await sweepUntil(() => said.length > 0)
    const doubtedMs = server.clock.monotonic()
    await sweepUntil(async () => !(await isThere(medlar)))
    expect(server.clock.monotonic() - doubtedMs).toBeGreaterThanOrEqual(hour)
  })

  it('by less than an hour is believed at once', async () => {
    await begin()
    const sloe = await message('sloe')
    await server.clock.advance(30 * day - hour / 2)
    server.clock.set(hour - 60_000)
    await sweepUntil(async () => !(await isThere(sloe)))
    expect(said).toEqual([])
  })

  it('while the server was off is doubted as well', async () => {
    await begin()
    const damson = await message('damson')
    await sweepUntil(async () => (await server.ctx.db.pool.query('SELECT FROM log_days')).rowCount === 1)
    server.clock.set(400 * day)
    server = await server.restart()
    await sweepUntil(() => said.length > 0)
    expect(await isThere(damson)).toBe(true)
  })

  it.each([hour, -hour, 400 * day, -10 * year])('by %d ms stops nobody: events keep their order', async byMs => {
    await begin()
    const since = await alice.now()
    const first = await alice.send(room, 'before')
    server.clock.set(byMs)
    const waiting = alice.sync({ since: await alice.now(), timeout: 30_000 })
    const second = await alice.send(room, 'after')
    expect(JSON.stringify(await waiting)).toContain(second)
    const told = JSON.stringify(await alice.sync({ since }))
    if (byMs < 30 * day) expect(told.indexOf(first)).toBeGreaterThan(0)
    expect(told.indexOf(second)).toBeGreaterThan(told.indexOf(first))
    expect(await answerOf(await alice.login(), 'GET', '/account/whoami')).toEqual([200, null])
  })
})
