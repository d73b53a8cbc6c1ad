import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  canonicalJson,
  canonicalJsonBytes,
  CanonicalJsonError,
  compareCodePoints,
} from '../../src/protocol/canonical-json.ts'
import { type JsonValue } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import { rawNumber } from '../../src/protocol/raw-number.ts'
import { vectorText } from './vectors.ts'

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 300)

interface Vectors {
  readonly cases: readonly { readonly input: string; readonly canonical: string }[]
}
// The file is ours and has this shape.
const vectors = JSON.parse(vectorText('canonical-json')) as Vectors

const hostileKey = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 4 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    '10',
    '9',
    '',
    '😀',
    '｡',
    '\u{10ffff}',
    '\uffff',
    '\ue000',
    'a"b',
    '\0',
  ),
)
const json: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    hostileKey,
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(hostileKey, tie('value')), { selector: ([key]) => key, maxLength: 5 })
      .map(entries => Object.fromEntries(entries)),
  ),
})).value

describe('canonical JSON', () => {
  it.each(vectors.cases)('prints $input as the spec does', ({ input, canonical }) => {
    const parsed = parseJson(input)
    expect(parsed.ok && canonicalJson(parsed.value)).toBe(canonical)
    expect(parsed.ok && Buffer.from(canonicalJsonBytes(parsed.value)).toString('utf8')).toBe(canonical)
  })

  it.each([1.5, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e21])('refuses the number %p', number => {
    expect(() => canonicalJson({ a: [number] })).toThrow(CanonicalJsonError)
  })

  it('refuses lone surrogates in strings and keys', () => {
    for (const value of ['\ud800', ['x\udc00'], { '\udfff': 1 }]) {
      expect(() => canonicalJson(value)).toThrow(CanonicalJsonError)
      expect(() => canonicalJson(value, 'lax')).toThrow(CanonicalJsonError)
    }
  })

  it('refuses what is no JSON at all', () => {
    // The casts smuggle in what the types forbid, as a mistake elsewhere might.
    for (const value of [undefined, 1n, () => 1, { a: undefined }, [undefined]]) {
      expect(() => canonicalJson(value as unknown as JsonValue)).toThrow(CanonicalJsonError)
    }
  })

  it('refuses, rather than exhaust the stack, what nests beyond all limits', () => {
    let value: JsonValue = 1
    for (let level = 0; level < 100_000; level++) value = [value]
    expect(() => canonicalJson(value)).toThrow(CanonicalJsonError)
  })

  it('prints a raw number as it came when lax, and refuses it when strict', () => {
    for (const text of ['1.0', '-0', '9223372036854775807', '1E+2']) {
      expect(canonicalJson([rawNumber(text)], 'lax')).toBe(`[${text}]`)
      expect(() => canonicalJson([rawNumber(text)])).toThrow(CanonicalJsonError)
    }
    expect(canonicalJson([50.57], 'lax')).toBe('[50.57]')
    expect(() => canonicalJson([rawNumber('1e400')], 'lax')).toThrow(CanonicalJsonError)
    expect(() => canonicalJson([Infinity], 'lax')).toThrow(CanonicalJsonError)
  })

  it('is read back as the same value, and is its own canonical form', () => {
    fc.assert(
      fc.property(json, value => {
        const canonical = canonicalJson(value)
        const parsed = parseJson(canonicalJsonBytes(value), { numbers: 'strict' })
        expect(parsed.ok && canonicalJson(parsed.value)).toBe(canonical)
        expect(JSON.parse(canonical)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      { numRuns },
    )
  })

  it('does not depend on the order in which keys were written', () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(fc.tuple(hostileKey, json), { selector: ([key]) => key, maxLength: 8 })
          .chain(entries =>
            fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })),
          ),
        ([entries, shuffled]) => {
          expect(canonicalJson(Object.fromEntries(shuffled))).toBe(canonicalJson(Object.fromEntries(entries)))
        },
      ),
      { numRuns },
    )
  })

  it('orders keys as their UTF-32 would be ordered', () => {
    const utf32 = (text: string): number[] => Array.from(text, character => character.codePointAt(0) ?? 0)
    const compare = (left: number[], right: number[]): number => {
      for (const [at, code] of left.entries()) if (code !== right[at]) return code - (right[at] ?? -1)
      return left.length - right.length
    }
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 5 }),
        fc.string({ unit: 'binary', maxLength: 5 }),
        (left, right) => {
          expect(Math.sign(compareCodePoints(left, right))).toBe(Math.sign(compare(utf32(left), utf32(right))))
        },
      ),
      { numRuns: numRuns * 3 },
    )
    expect(compareCodePoints('\uff61', '😀')).toBeLessThan(0)
    expect(compareCodePoints('a', 'a😀')).toBeLessThan(0)
  })
})
