import { describe, it } from '@jest/globals'
import fc from 'fast-check'
import { type PathRange } from '../../src/privacy/keyring/key-tree.ts'
import { PathSet } from '../../src/privacy/keyring/path-set.ts'

const range = fc.tuple(fc.bigInt(0n, 60n), fc.bigInt(0n, 6n)).map(([from, more]) => ({ from, through: from + more }))
const step = fc.oneof({ weight: 4, arbitrary: fc.bigInt(0n, 60n) }, { weight: 1, arbitrary: range })

/** Every path of the ranges. */
const pathsIn = (ranges: readonly PathRange[]) =>
  ranges.flatMap(({ from, through }) =>
    Array.from({ length: Number(through - from) + 1 }, (_, at) => from + BigInt(at)),
  )

describe('a set of paths', () => {
  it('is what was added, in order, as the fewest ranges', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (steps, limit) => {
        const set = new PathSet(limit)
        const added = new Set<bigint>()
        for (const each of steps) {
          const isPath = typeof each === 'bigint'
          if (isPath) set.add(each)
          else set.addRange(each)
          for (const path of isPath ? [each] : pathsIn([each])) added.add(path)
        }
        const ranges = set.ranges()
        const found = pathsIn(ranges)
        const wanted = [...added].sort((one, other) => Number(one - other))
        const isOrdered = found.length === wanted.length && found.every((path, at) => path === wanted[at])
        const isApart = ranges.every(({ from }, at) => at === 0 || from > (ranges[at - 1]?.through ?? from) + 1n)
        return isOrdered && isApart
      }),
    )
  })
})
