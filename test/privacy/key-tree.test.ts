import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type KeyPlace, KeyTree } from '../../src/privacy/keyring/key-tree.ts'

const secret = randomBytes(32)
const lastBucket = 2 ** 24 - 1
const lastLeaf = 2 ** 40 - 1

const place = fc.record({
  bucket: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(498_000, 498_001, lastBucket - 1, lastBucket)),
  leaf: fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: lastLeaf })),
})
const order = fc.oneof(
  fc.record({ kind: fc.constant('one' as const), place }),
  fc.record({ kind: fc.constant('through' as const), bucket: fc.integer({ min: 0, max: 25 }) }),
)
const nameOf = ({ bucket, leaf }: KeyPlace) => `${bucket}/${leaf}`

describe('a tree of keys', () => {
  it('gives each place a key of its own, the same every time', () => {
    const tree = KeyTree.from(secret)
    const places = [0, 1, 255, 256, lastLeaf].flatMap(leaf => [0, 1, 498_000, lastBucket].map(bucket => ({ bucket, leaf }))) // prettier-ignore
    const keys = places.map(each => tree.keyAt(each)?.toString('hex'))
    expect(new Set(keys).size).toBe(places.length)
    expect(places.map(each => KeyTree.from(secret).keyAt(each)?.toString('hex'))).toEqual(keys)
  })

  it('has the keys that were not destroyed, unchanged, and no other, whatever the order, kept or not', () => {
    fc.assert(
      fc.property(fc.array(order, { maxLength: 30 }), fc.array(place, { maxLength: 30 }), (orders, asked) => {
        const tree = KeyTree.from(secret)
        const whole = KeyTree.from(secret)
        const dead = new Set<string>()
        let deadThrough = -1
        for (const each of orders) {
          // Keys are at hand when they are destroyed, as on a server that has just read them.
          if (each.kind === 'one') tree.keyAt(each.place)
          if (each.kind === 'one') tree.destroy(each.place)
          else tree.destroyThrough(each.bucket)
          if (each.kind === 'one') dead.add(nameOf(each.place))
          else deadThrough = Math.max(deadThrough, each.bucket)
        }
        const kept = KeyTree.fromCover(tree.cover())
        const neighbours = orders.flatMap(each =>
          each.kind === 'one' ? [each.place, { ...each.place, leaf: (each.place.leaf + 1) % lastLeaf }] : [],
        )
        for (const each of [...asked, ...neighbours]) {
          const isDead = each.bucket <= deadThrough || dead.has(nameOf(each))
          const expected = isDead ? null : whole.keyAt(each)
          expect(tree.keyAt(each)).toEqual(expected)
          expect(kept.keyAt(each)).toEqual(expected)
        }
        expect([...kept.cover()]).toEqual([...tree.cover()])
        expect(kept.size).toBe([...kept.cover()].length)
      }),
      { numRuns: 100 },
    )
  })

  it('cannot give back a destroyed key: what is left holds none of its ancestors', () => {
    const tree = KeyTree.from(secret)
    const gone = { bucket: 498_000, leaf: 77 }
    tree.destroy(gone)
    for (const { depth, prefix } of tree.cover()) {
      const path = (BigInt(gone.bucket) << 40n) | BigInt(gone.leaf)
      const shift = BigInt(64 - depth)
      expect(path >> shift).not.toBe(prefix.readBigUInt64BE() >> shift)
    }
    expect(tree.size).toBe(64)
  })

  it('grows by little, and shrinks when neighbours go', () => {
    const tree = KeyTree.from(secret)
    for (let leaf = 0; leaf < 1_000; leaf++) tree.destroy({ bucket: lastBucket, leaf })
    expect(tree.size).toBeLessThan(70)
    tree.destroyThrough(498_000)
    expect(tree.size).toBeLessThan(100)
    tree.destroyThrough(lastBucket - 2)
    expect(tree.size).toBeLessThan(70)
  })
})
