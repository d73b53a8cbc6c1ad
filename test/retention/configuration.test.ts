import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import { EventEmitter } from 'node:events'
import { RoomRetentionPolicy } from 'matrix-js-sdk/lib/models/room-retention.js'
import { type RoomId } from '../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { effectivePolicy, type RetentionSettings } from '../../src/protocol/retention.ts'
import { configurationFor } from '../../src/retention/configuration.ts'
import { Caller, nobody, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const hour = 3_600_000
const day = 24 * hour
const stablePath = '/_matrix/client/v3/retention/configuration'
const unstablePath = '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'

describe('the configuration of retention', () => {
  let server: TestServer
  let alice: Person
  beforeAll(async () => {
    server = await startTestServer()
    alice = await register(server)
  })
  afterAll(() => server.close())

  it('says nothing where the operator sets nothing', async () => {
    expect(await alice.get(stablePath)).toEqual({ policies: {}, limits: {} })
    expect(await alice.get(unstablePath)).toEqual({ policies: {}, limits: {} })
  })

  it('is for those who are signed in', async () => {
    for (const target of [stablePath, unstablePath])
      expect((await nobody(server).request('GET', target)).status).toBe(401)
  })

  it('tells of the default, the limits, and of the rooms of the one who asks alone', async () => {
    const room = await alice.createRoom()
    const other = await alice.createRoom()
    const again = await server.restart({
      retention: {
        default: { max_lifetime: '30d', min_lifetime: '1h' },
        limits: { max_lifetime: { min: '1h', max: '90d' }, min_lifetime: { max: '1d' } },
        rooms: { [room]: { max_lifetime: '2h' }, [other]: { max_lifetime: null } },
      },
    })
    try {
      const bob = await register(again)
      const limits = { max_lifetime: { min: hour, max: 90 * day }, min_lifetime: { max: day } }
      const byDefault = { max_lifetime: 30 * day, min_lifetime: hour }
      expect(await bob.get(stablePath)).toEqual({ policies: { '*': byDefault }, limits })
      const session = new Caller(again.url, alice.accessToken)
      expect(await session.get(stablePath)).toEqual({
        policies: {
          '*': byDefault,
          [room]: { max_lifetime: 2 * hour },
          // No policy at all: clients need a number.
          [other]: { max_lifetime: Number.MAX_SAFE_INTEGER },
        },
        limits,
      })
    } finally {
      server = again
    }
  })
})

describe('a client', () => {
  // Its logger looks up the console's methods anew for each line.
  beforeAll(() => {
    for (const method of ['info', 'warn', 'debug'] as const)
      jest.spyOn(console, method).mockImplementation(() => undefined)
  })
  afterAll(() => {
    jest.restoreAllMocks()
  })

  const roomId = '!room:lethe.test' as RoomId // It is one.

  /** The lifetime that matrix-js-sdk comes to by its own code, `null` for none, to the hour. */
  async function lifetimeByClient(
    answer: JsonObject,
    state: Readonly<Record<string, JsonObject>>,
  ): Promise<number | null> {
    const eventsOf = (type: string) =>
      state[type] === undefined ? [] : [{ getStateKey: () => '', getContent: () => state[type] }]
    const room = Object.assign(new EventEmitter(), {
      roomId,
      currentState: { getStateEvents: eventsOf },
      getLiveTimeline: () => ({ getEvents: () => [] }),
    })
    const service = Object.assign(new EventEmitter(), { getCached: () => answer })
    type Given = ConstructorParameters<typeof RoomRetentionPolicy>
    // All that the class asks of its room and its service is here.
    const policy = new RoomRetentionPolicy(room as unknown as Given[0], service as unknown as Given[1], {} as Given[2]) // prettier-ignore
    await Promise.resolve()
    type Asked = Parameters<typeof policy.shouldEventBeRetained>[0]
    // It asks the event for its time alone.
    const keeps = (ageMs: number) => policy.shouldEventBeRetained({ getTs: () => Date.now() - ageMs } as Asked)
    for (let hours = 1; hours <= 60; hours++) if (!keeps(hours * hour + hour / 2)) return hours * hour
    return null
  }
  it('comes to the lifetime that is in force, whatever the operator and the room say', async () => {
    const hours = fc.option(fc.integer({ min: 1, max: 50 }).map(count => count * hour))
    const content = fc.record(
      {
        max_lifetime: fc.oneof(hours, fc.constantFrom<JsonObject[string]>(0, -hour, 'soon', 1.5, true)),
        min_lifetime: hours,
      },
      { requiredKeys: [] },
    )
    const limits = fc
      .record({ min: hours, max: hours })
      .filter(({ min, max }) => min === null || max === null || min <= max)
    await fc.assert(
      fc.asyncProperty(
        hours,
        limits,
        fc.option(hours),
        fc.option(content),
        fc.option(content),
        async (byDefault, maxLimits, override, stable, unstable) => {
          const settings: RetentionSettings = {
            default: { maxLifetime: byDefault, minLifetime: null },
            limits: { maxLifetime: maxLimits, minLifetime: { min: null, max: null } },
            // `null` twice over: no policy for this room, and one without an end.
            rooms: override === null ? {} : { [roomId]: { maxLifetime: override, minLifetime: null } },
          }
          const state: Record<string, JsonObject> = {
            ...(stable ? { 'm.room.retention': stable as JsonObject } : {}),
            ...(unstable ? { 'org.matrix.msc1763.retention': unstable as JsonObject } : {}),
          }
          const stateOf = (type: string) => state[type] ?? null
          const { maxLifetime } = effectivePolicy(settings, roomId, stateOf)
          const answer = configurationFor(settings, [{ roomId, stateOf }])
          expect(await lifetimeByClient(answer, state)).toBe(maxLifetime)
        },
      ),
      { numRuns: Number(process.env['LETHE_TEST_RUNS'] ?? 500) },
    )
  })
})
