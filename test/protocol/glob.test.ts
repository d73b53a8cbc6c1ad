import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { compileGlob, compileWord, compileWordGlob } from '../../src/protocol/glob.ts'

const runs = Number(process.env.LETHE_PROPERTY_RUNS ?? 2_000)

/** The definition of a glob, written down as simply as possible; exponential, so only for short texts. */
function naive(pattern: readonly string[], text: readonly string[], wildcards: '*' | '*?'): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return text.length === 0
  if (first === '*')
    return naive(rest, text, wildcards) || (text.length > 0 && naive(pattern, text.slice(1), wildcards))
  const [character, ...others] = text
  return (
    character !== undefined &&
    ((first === '?' && wildcards === '*?') || first === character) &&
    naive(rest, others, wildcards)
  )
}

function naiveWord(pattern: string, text: string): boolean {
  const characters = [...text]
  const isWord = (character: string | undefined): boolean => character !== undefined && /^[A-Za-z0-9_]$/.test(character)
  const isBoundary = (index: number): boolean => !(isWord(characters[index - 1]) && isWord(characters[index]))
  for (let from = 0; from <= characters.length; from++) {
    for (let to = from; to <= characters.length; to++) {
      if (isBoundary(from) && isBoundary(to) && naive([...pattern], characters.slice(from, to), '*?')) return true
    }
  }
  return false
}

/** The best of three, so that a busy machine does not decide. */
function bestMilliseconds(work: () => void): number {
  const once = (): number => {
    const start = performance.now()
    work()
    return performance.now() - start
  }
  return Math.min(once(), once(), once())
}

const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '-', '*', '?', '😀'), maxLength: 8 })
const text = fc.string({ unit: fc.constantFrom('a', 'b', '-', '?', '😀'), maxLength: 8 })

describe('a glob', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['?', '', false],
    ['?', 'a', true],
    ['?', '😀', true],
    ['??', '😀', false],
    ['lunc?*', 'Lunch plans', true],
    ['lunc?*', 'LUNCH', true],
    ['lunc?*', ' lunch', false],
    ['lunc?*', 'lunc', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*.example.org', 'x.example.org', true],
    ['*.example.org', 'example.org', false],
    ['a.c', 'abc', false],
    ['[ab]+$', '[ab]+$', true],
    ['a*b*c', 'a-c-b', false],
  ])('%j on %j gives %j when case is ignored', (glob, subject, expected) => {
    expect(compileGlob(glob, { caseSensitive: false }).matches(subject)).toBe(expected)
  })

  it('tells apart upper and lower case when asked to', () => {
    expect(compileGlob('M.room.*', { caseSensitive: true }).matches('m.room.name')).toBe(false)
    expect(compileGlob('M.room.*', { caseSensitive: false }).matches('m.ROOM.name')).toBe(true)
  })

  it('takes a question mark for itself when only stars are wildcards', () => {
    const glob = compileGlob('a?*', { caseSensitive: true, wildcards: '*' })
    expect(glob.matches('a?c')).toBe(true)
    expect(glob.matches('abc')).toBe(false)
    expect(compileGlob('a?', { caseSensitive: true, wildcards: '*' }).literal).toBe('a?')
  })

  it('agrees with the definition on any pattern and text', () => {
    fc.assert(
      fc.property(pattern, text, fc.constantFrom('*', '*?'), (glob, subject, wildcards) => {
        const matches = compileGlob(glob, { caseSensitive: true, wildcards }).matches(subject)
        expect(matches).toBe(naive([...glob], [...subject], wildcards))
      }),
      { numRuns: runs },
    )
  })

  it('matches a pattern longer than one machine word', () => {
    const glob = compileGlob(`${'ab?'.repeat(50)}*${'?z'.repeat(40)}`, { caseSensitive: true })
    expect(glob.matches(`${'abc'.repeat(50)}middle${'yz'.repeat(40)}`)).toBe(true)
    expect(glob.matches(`${'abc'.repeat(50)}middle${'yz'.repeat(39)}yy`)).toBe(false)
  })

  it.each([
    ['*a*a*a*a*a*a*b', 'a'.repeat(60_000)],
    [`*${'a?'.repeat(500)}b`, 'a'.repeat(60_000)],
    [`*${'a'.repeat(1_000)}b*`, 'a'.repeat(60_000)],
    [`${'*a'.repeat(500)}b`, 'a'.repeat(60_000)],
  ])('that was made to be slow takes less than 50 ms (%#)', (glob, subject) => {
    const compiled = compileGlob(glob, { caseSensitive: false })
    expect(compiled.matches(subject)).toBe(false)
    expect(bestMilliseconds(() => compiled.matches(subject))).toBeLessThan(50)
    const words = compileWordGlob(glob)
    expect(bestMilliseconds(() => words.matches(subject))).toBeLessThan(50)
  })
})

describe('a pattern for words', () => {
  it.each([
    ['ex*ple', 'An example event.', true],
    ['ex*ple', 'exple', true],
    ['ex*ple', 'An exciting triple-whammy', true],
    ['ex*ple', 'examples', false],
    ['cake', 'Cake!', true],
    ['cake', 'pancake', false],
    ['cake', 'cakes and a cake', true],
    ['cake', 'cake_', false],
    ['cake', 'écake', true],
    ['@room', 'hey@room', true],
    ['a?c', 'x abc y', true],
    ['a?c', 'x abbc y', false],
    ['*', '', true],
    ['', 'anything', false],
    ['', '', true],
  ])('%j on %j gives %j', (glob, subject, expected) => {
    expect(compileWordGlob(glob).matches(subject)).toBe(expected)
  })

  it('agrees with the definition on any pattern and text', () => {
    fc.assert(
      fc.property(
        pattern.filter(glob => glob !== ''),
        text,
        (glob, subject) => {
          expect(compileWordGlob(glob).matches(subject)).toBe(naiveWord(glob, subject))
        },
      ),
      { numRuns: runs },
    )
  })

  it('stays fast when it is found at very many places, none of which is a word', () => {
    const glob = compileWordGlob(`${'!aa'.repeat(300)}!a`)
    const subject = '!aa'.repeat(20_000)
    expect(glob.matches(subject)).toBe(false)
    expect(bestMilliseconds(() => glob.matches(subject))).toBeLessThan(50)
  })

  it('has no wildcards when it is a display name', () => {
    expect(compileWord('Al*').matches('hello alice')).toBe(false)
    expect(compileWord('Al*').matches('hello AL*')).toBe(true)
    expect(compileWord('Al?').matches('all')).toBe(false)
    expect(compileWord('').matches('anything')).toBe(false)
  })
})
