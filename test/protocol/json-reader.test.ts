import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { canonicalJson } from '../../src/protocol/canonical-json.ts'
import { type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { parseJson, type ParseJsonOptions } from '../../src/protocol/json-reader.ts'
import { isRawNumber, rawNumberText } from '../../src/protocol/raw-number.ts'

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 300)

function problemOf(input: string | Uint8Array, options?: ParseJsonOptions): string {
  const parsed = parseJson(input, options)
  return parsed.ok ? 'none' : parsed.problem
}

function read(input: string | Uint8Array, options?: ParseJsonOptions): JsonValue {
  const parsed = parseJson(input, options)
  if (!parsed.ok) throw new Error(`refused: ${parsed.problem}`)
  return parsed.value
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8')

describe('what is not JSON', () => {
  it.each([
    '',
    ' ',
    '{',
    '{]',
    '[1,]',
    '{"a":1,}',
    "{'a':1}",
    'undefined',
    '[01]',
    '[1.]',
    '[.5]',
    '[+1]',
    '"a',
    '"\n"',
    '{"a" 1}',
    '1 2',
  ])('refuses %j', text => {
    expect(problemOf(text)).toBe('not_json')
    expect(problemOf(bytes(text), { numbers: 'preserved' })).toBe('not_json')
  })

  it.each(['NaN', 'Infinity', '-Infinity', '[NaN]', '{"a":Infinity}', '{"a":-Infinity}'])(
    'E-1: refuses %s in every mode',
    text => {
      for (const numbers of ['open', 'strict', 'preserved'] as const)
        expect(problemOf(text, { numbers })).toBe('not_json')
    },
  )

  it('refuses bytes that are not UTF-8, and a byte order mark', () => {
    for (const bad of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xe2, 0x82],
    ]) {
      expect(problemOf(Uint8Array.from(bad))).toBe('bad_utf8')
    }
    expect(problemOf(Uint8Array.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))).toBe('not_json')
    expect(problemOf(Buffer.from('{}', 'utf16le'))).toBe('not_json')
  })
})

describe('depth', () => {
  const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)

  it('is allowed up to 100 levels of arrays and objects', () => {
    expect(problemOf(nested(100))).toBe('none')
    expect(problemOf(nested(101))).toBe('too_deep')
    expect(problemOf('{"a":'.repeat(100) + '1' + '}'.repeat(100))).toBe('none')
    expect(problemOf('{"a":'.repeat(101) + '1' + '}'.repeat(101))).toBe('too_deep')
  })

  it('is refused before anything is built, and quickly', () => {
    const started = performance.now()
    expect(problemOf(bytes('['.repeat(5_000_000)))).toBe('too_deep')
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('counts no brackets inside strings', () => {
    expect(problemOf(JSON.stringify({ a: '['.repeat(500), b: '"{'.repeat(200) + '\\' }))).toBe('none')
  })

  it('can be widened for the bodies of other servers', () => {
    expect(problemOf(nested(1000), { depthLimit: 1000, numbers: 'preserved' })).toBe('none')
    expect(problemOf(nested(1001), { depthLimit: 1000 })).toBe('too_deep')
  })
})

describe('numbers', () => {
  it.each([
    '1.0',
    '1.5',
    '1e3',
    '1E3',
    '1e-3',
    '-0',
    '-0.0',
    '0.0',
    '9007199254740992',
    '-9007199254740992',
    '123456789012345678901',
  ])('E-5: refuses %s where canonical JSON is asked', number => {
    expect(problemOf(number, { numbers: 'strict' })).toBe('bad_number')
    expect(problemOf(`{"a":[${number}]}`, { numbers: 'strict' })).toBe('bad_number')
    expect(problemOf(`{"a":[${number}]}`)).toBe('none')
  })

  it.each(['0', '1', '-1', '10', '9007199254740991', '-9007199254740991', '999999999999999'])(
    'accepts %s where canonical JSON is asked',
    number => expect(read(`[${number}]`, { numbers: 'strict' })).toEqual([Number(number)]),
  )

  it('E-1: refuses a number that no double holds', () => {
    for (const number of ['1e400', '-1e400', '1' + '0'.repeat(400)]) {
      expect(problemOf(`{"a":${number}}`)).toBe('bad_number')
      expect(problemOf(`{"a":${number}}`, { numbers: 'strict' })).toBe('bad_number')
    }
  })

  it('E-2: keeps what a double would forget, where another server signed it', () => {
    const text = '{"a":1.0,"b":-0,"c":9007199254740993,"d":1e3,"e":1.5,"f":7,"g":[1e400]}'
    const value = read(text, { numbers: 'preserved' }) as JsonObject
    expect(rawNumberText(value['a'])).toBe('1.0')
    expect(rawNumberText(value['b'])).toBe('-0')
    expect(rawNumberText(value['c'])).toBe('9007199254740993')
    expect(rawNumberText(value['d'])).toBe('1e3')
    expect(value['e']).toBe(1.5)
    expect(value['f']).toBe(7)
    expect(JSON.stringify(value)).toBe(text)
  })

  it('are not looked for inside strings', () => {
    expect(problemOf('{"1.0":"-0 1e400 \\" 1.5"}', { numbers: 'strict' })).toBe('none')
  })
})

describe('strings and keys', () => {
  it.each([
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\uD83D"',
    '{"\\ud800":1}',
    '{"a":["x\\udfff"]}',
    '{"a":{"b\\ud800":{}}}',
  ])('F-3: refuses the lone surrogate in %s', text => {
    expect(problemOf(text)).toBe('bad_string')
    expect(problemOf(bytes(text), { numbers: 'preserved' })).toBe('bad_string')
  })

  it('F-3: refuses a text that is itself ill-formed', () => expect(problemOf('"\ud800"')).toBe('bad_string'))

  it('accepts pairs of surrogates, however they are written', () => {
    expect(read('"\\ud83d\\ude00"')).toBe('😀')
    expect(read(bytes('"😀\\uD83D\\uDE00"'))).toBe('😀😀')
    expect(read('"\\ud7ff"')).toBe('\ud7ff')
    expect(read('"\\\\ud800"')).toBe('\\ud800')
  })

  it('F-1, F-2: keeps NUL and U+FFFE', () => {
    const text = '{"a\\u0000":"\\u0000\ufffe"}'
    expect(canonicalJson(read(text))).toBe(text)
  })

  it('has no prototype, so that no key is special', () => {
    const value = read('{"__proto__":{"admin":true},"list":[{"constructor":1}]}') as JsonObject
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(Object.keys(value)).toEqual(['__proto__', 'list'])
    expect(value['admin']).toBeUndefined()
    expect(value['toString']).toBeUndefined()
    const list = value['list'] as JsonObject[]
    expect(Object.getPrototypeOf(list[0])).toBeNull()
    expect(Object.getPrototypeOf(value['__proto__'])).toBeNull()
  })

  it('takes the last of two equal keys', () => expect(read('{"a":1,"a":2}')).toEqual({ a: 2 }))
})

it('E-3: parse, canonical form and parse again give the same value, in every mode', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary' }), text => {
      const first = parseJson(text, { numbers: 'preserved' })
      if (!first.ok) return
      const canonical = canonicalJson(first.value, 'lax')
      const second = parseJson(bytes(canonical), { numbers: 'preserved' })
      expect(second.ok && canonicalJson(second.value, 'lax')).toBe(canonical)
      const open = parseJson(text)
      if (open.ok) expect(JSON.parse(JSON.stringify(open.value))).toEqual(JSON.parse(text))
    }),
    { numRuns },
  )
})

it('never throws, and agrees with JSON.parse on what is JSON', () => {
  const noise = fc.oneof(
    fc.string({
      unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', 'u', 'd', '8', '0', '-', '.', 'e', ',', ':', 'a', ' '),
      maxLength: 30,
    }),
    fc.string({ unit: 'binary', maxLength: 30 }),
  )
  fc.assert(
    fc.property(noise, text => {
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      for (const numbers of ['open', 'strict', 'preserved'] as const) {
        const parsed = parseJson(text, { numbers })
        if (!isJson) expect(parsed.ok).toBe(false)
        if (!parsed.ok && parsed.problem === 'not_json') expect(isJson).toBe(false)
      }
    }),
    { numRuns: numRuns * 3 },
  )
})

it('accepts in strict mode exactly what canonical JSON can print back', () => {
  const number = fc.oneof(
    fc.integer().map(String),
    fc.double().map(value => String(value).replace('Infinity', '1e400').replace('NaN', '0.0')),
    fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map(String),
    fc.constantFrom('-0', '0', '1.0', '1e0', '9007199254740991', '9007199254740992', '-9007199254740991'),
  )
  fc.assert(
    fc.property(number, text => {
      const strict = parseJson(`[${text}]`, { numbers: 'strict' })
      const isCanonical = /^(0|-?[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text))
      expect(strict.ok).toBe(isCanonical)
      const preserved = parseJson(`[${text}]`, { numbers: 'preserved' })
      expect(preserved.ok && JSON.stringify(preserved.value)).toBe(`[${text}]`)
      if (preserved.ok && Array.isArray(preserved.value))
        expect(isRawNumber(preserved.value[0])).toBe(String(Number(text)) !== text)
    }),
    { numRuns },
  )
})
