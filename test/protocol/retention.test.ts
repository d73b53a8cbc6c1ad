import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type JsonObject } from '../../src/protocol/json.ts'
import { effectivePolicy, isExpired, type Lifetime, type RetentionSettings } from '../../src/protocol/retention.ts'

const hour = 3_600_000
const day = 24 * hour
const room = '!room:lethe.test'
const none: Lifetime = { maxLifetime: null, minLifetime: null }
const unbounded = { min: null, max: null }
const lifetime = (maxLifetime: number | null, minLifetime: number | null = null): Lifetime => ({
  maxLifetime,
  minLifetime,
})

function settingsWith(more: Partial<RetentionSettings> = {}): RetentionSettings {
  return { default: none, limits: { maxLifetime: unbounded, minLifetime: unbounded }, rooms: {}, ...more }
}

const stable = (content: JsonObject) => ({ 'm.room.retention': content })
const unstable = (content: JsonObject) => ({ 'org.matrix.msc1763.retention': content })

function policy(settings: RetentionSettings, state: Readonly<Record<string, JsonObject>> = {}): Lifetime {
  return effectivePolicy(settings, room, type => state[type] ?? null)
}

describe('the policy of a room', () => {
  it('is none where nobody says anything', () => {
    expect(policy(settingsWith())).toEqual(none)
  })

  it('is what the room says, under either name of the event', () => {
    const content = { max_lifetime: day, min_lifetime: hour }
    expect(policy(settingsWith(), stable(content))).toEqual(lifetime(day, hour))
    expect(policy(settingsWith(), unstable(content))).toEqual(lifetime(day, hour))
  })

  it('is that of the stable event where there are both', () => {
    const both = { ...stable({ max_lifetime: day }), ...unstable({ max_lifetime: hour }) }
    expect(policy(settingsWith(), both)).toEqual(lifetime(day))
  })

  it('is that of the unstable event where the stable one cannot be understood', () => {
    const both = { ...stable({ max_lifetime: 'a day' }), ...unstable({ max_lifetime: hour }) }
    expect(policy(settingsWith(), both)).toEqual(lifetime(hour))
  })

  it('is the operator’s default where the room says nothing', () => {
    const settings = settingsWith({ default: lifetime(30 * day, hour) })
    expect(policy(settings)).toEqual(lifetime(30 * day, hour))
    expect(policy(settings, stable({}))).toEqual(lifetime(30 * day, hour))
    expect(policy(settings, stable({ max_lifetime: null }))).toEqual(lifetime(30 * day, hour))
    expect(policy(settings, stable({ max_lifetime: day }))).toEqual(lifetime(day, hour))
  })

  it('is the operator’s for this very room whatever the room says and the limits are', () => {
    const settings = settingsWith({
      default: lifetime(day),
      limits: { maxLifetime: { min: day, max: 2 * day }, minLifetime: unbounded },
      rooms: { [room]: lifetime(hour) },
    })
    expect(policy(settings, stable({ max_lifetime: 5 * day }))).toEqual(lifetime(hour))
    const never = settingsWith({ default: lifetime(day), rooms: { [room]: none } })
    expect(policy(never, stable({ max_lifetime: hour }))).toEqual(none)
  })

  it('is not taken from what every object has', () => {
    expect(effectivePolicy(settingsWith(), 'constructor', () => null)).toEqual(none)
  })

  it('is brought within the operator’s limits', () => {
    const limits = { maxLifetime: { min: hour, max: day }, minLifetime: { min: null, max: hour } }
    const settings = settingsWith({ limits })
    expect(policy(settings, stable({ max_lifetime: 1 }))).toEqual(lifetime(hour))
    expect(policy(settings, stable({ max_lifetime: 2 * hour }))).toEqual(lifetime(2 * hour))
    expect(policy(settings, stable({ max_lifetime: 5 * day }))).toEqual(lifetime(day))
    expect(policy(settings, stable({ max_lifetime: 5 * day, min_lifetime: 3 * day }))).toEqual(lifetime(day, hour))
  })

  it('leaves the default as the operator set it', () => {
    const limits = { maxLifetime: { min: hour, max: day }, minLifetime: unbounded }
    expect(policy(settingsWith({ default: lifetime(30 * day), limits }))).toEqual(lifetime(30 * day))
  })

  it('does not come from numbers that mean nothing, or that clients take for no policy at all', () => {
    const settings = settingsWith({ default: lifetime(day) })
    const wrong: JsonObject[] = [
      { max_lifetime: 0 },
      { max_lifetime: -hour },
      { max_lifetime: 1.5 },
      { max_lifetime: '3600000' },
      { max_lifetime: true },
      { max_lifetime: [hour] },
      { max_lifetime: 2 ** 53 },
      { max_lifetime: hour, min_lifetime: 0 },
      { max_lifetime: hour, min_lifetime: 2 * hour },
    ]
    for (const content of wrong) expect([content, policy(settings, stable(content))]).toEqual([content, lifetime(day)])
  })

  it('takes a shortest lifetime that is as long as the longest', () => {
    expect(policy(settingsWith(), stable({ max_lifetime: hour, min_lifetime: hour }))).toEqual(lifetime(hour, hour))
  })

  it('is within the limits whatever a room says, or is the default or none', () => {
    const value = fc.option(fc.oneof(fc.integer({ min: -5, max: 100 }), fc.double(), fc.string(), fc.boolean()))
    const bound = fc.option(fc.integer({ min: 1, max: 100 }))
    fc.assert(
      fc.property(value, value, bound, bound, bound, (max, min, low, high, byDefault) => {
        if (low !== null && high !== null && low > high) return
        const limits = { maxLifetime: { min: low, max: high }, minLifetime: unbounded }
        const settings = settingsWith({ default: lifetime(byDefault), limits })
        const found = policy(settings, stable({ max_lifetime: max, min_lifetime: min })).maxLifetime
        if (found === null || found === byDefault) return
        expect(found).toBeGreaterThanOrEqual(low ?? 1)
        expect(found).toBeLessThanOrEqual(high ?? Infinity)
      }),
    )
  })
})

describe('the end of an event', () => {
  const message = { stateKey: null }
  const sentTs = 1_000_000
  const aged = (event: { stateKey: string | null }, ageTs: number) => ({ event, ageTs, selfDestructTs: null })

  it('comes when it is older than the longest lifetime, and not at that very moment', () => {
    expect(isExpired(aged(message, sentTs), lifetime(hour), sentTs + hour)).toBe(false)
    expect(isExpired(aged(message, sentTs), lifetime(hour), sentTs + hour + 1)).toBe(true)
  })

  it('does not come without a longest lifetime', () => {
    expect(isExpired(aged(message, sentTs), lifetime(null, hour), Number.MAX_SAFE_INTEGER)).toBe(false)
  })

  it('does not come for state', () => {
    expect(isExpired(aged({ stateKey: '' }, sentTs), lifetime(hour), sentTs + day)).toBe(false)
    expect(isExpired(aged({ stateKey: '@alice:lethe.test' }, sentTs), lifetime(hour), sentTs + day)).toBe(false)
  })

  it('does not come for what is dated in the future', () => {
    expect(isExpired(aged(message, sentTs + day), lifetime(hour), sentTs)).toBe(false)
  })
})
