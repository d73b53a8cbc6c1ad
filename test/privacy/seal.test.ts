import { describe, expect, it } from '@jest/globals'
import { bucketOf, kept, keptBucket, passedBucket, placeOf, sealOf } from '../../src/privacy/seal.ts'
import { testSealer, testTree } from '../harness/sealer.ts'

const hour = 3_600_000
const day = 24 * hour
const sealer = testSealer()
const seal = (text: string, name = 'name') => sealer.seal(text, sealer.placeFor(kept, 'tests'), name)

describe('a sealed value', () => {
  it('opens under the name that it was sealed under', () => {
    for (const text of ['', '{}', JSON.stringify({ body: 'Grüße 👋 \u0000' }), 'x'.repeat(100_000)]) {
      expect(sealer.open(seal(text), 'name')).toBe(text)
    }
  })

  it('opens under no other, and not when a bit of it is changed', () => {
    const sealed = seal('{"body":"hello"}')
    expect(sealer.open(sealed, 'another')).toBeNull()
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 0x40
      expect(sealer.open(changed, 'name')).toBeNull()
    }
    expect(sealer.open(sealed.subarray(0, 20), 'name')).toBeNull()
  })

  it('is another each time, and says nothing of the text', () => {
    const [first, second] = [seal('the same words'), seal('the same words')]
    expect(first.equals(second)).toBe(false)
    expect(first.includes('words')).toBe(false)
  })

  it('says where its key stands, and does not open when that is destroyed', () => {
    const sealed = seal('gone')
    const place = placeOf(sealed)
    expect(place && sealOf(place)).toEqual(sealed.subarray(0, 10))
    expect(place?.bucket).toBe(keptBucket)
    if (place) testTree.destroy(place)
    expect(sealer.open(sealed, 'name')).toBeNull()
  })

  it('is the text itself where sealing is off, and opens either way', () => {
    const off = testSealer(false)
    const plain = off.seal('{"a":1}', off.placeFor(kept, 'tests'), 'name')
    expect(plain.toString()).toBe('\0{"a":1}')
    expect(sealer.open(plain, 'name')).toBe('{"a":1}')
    expect(off.open(seal('sealed before'), 'name')).toBe('sealed before')
  })
})

describe('the bucket of a lifetime', () => {
  it('ends after it, by an eighth of it at most, an hour at least and a week at most', () => {
    for (const lifetime of [1, hour, 8 * hour, 10 * day, 365 * day]) {
      for (const sent of [1_790_000_000_000, 1_790_000_123_456]) {
        const expires = sent + lifetime
        const end = bucketOf(expires, lifetime) * hour
        expect(end).toBeGreaterThanOrEqual(expires)
        expect(end - expires).toBeLessThan(Math.min(Math.max(lifetime / 8, hour), 7 * day))
      }
    }
  })

  it('has not passed before its end', () => {
    const expires = 1_790_000_123_456
    const bucket = bucketOf(expires, day)
    expect(passedBucket(bucket * hour - 1)).toBeLessThan(bucket)
    expect(passedBucket(bucket * hour)).toBe(bucket)
  })

  it('is one that still comes for what has expired already', () => {
    const place = sealer.placeFor({ kind: 'until', expiresTs: 1, lifetimeMs: 1 }, 'tests')
    expect(place.bucket).toBe(passedBucket(Date.now()) + 1)
  })

  it('is never reached by times that no clock reaches', () => {
    expect(bucketOf(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).toBe(keptBucket)
  })
})
