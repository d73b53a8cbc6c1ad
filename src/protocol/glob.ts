/**
 * Glob patterns from users and from other servers, matched without any `RegExp`: the time is bounded by
 * (length of the text) × (length of the pattern / 32), whatever the pattern.
 * https://spec.matrix.org/v1.19/appendices/#glob-style-matching
 */

/** Options of `compileGlob`. */
export interface GlobOptions {
  /** Whether `A` and `a` are different. */
  readonly caseSensitive: boolean
  /** `'*?'`: both are wildcards, as the appendix says. `'*'`: a `?` is itself, as in filters. Default `'*?'`. */
  readonly wildcards?: '*' | '*?'
}

/** A pattern made ready to be matched many times. */
export interface Glob {
  /** The pattern, folded when case is ignored, if it has no wildcards; else `null`. */
  readonly literal: string | null
  /** Whether the pattern matches the whole of `text`. */
  matches(text: string): boolean
  /** The same for a text that went through `foldCase` already (or for a case-sensitive pattern, the text itself). */
  matchesFolded(text: string): boolean
}

/** The form in which two strings that differ only by case are the same string. */
export function foldCase(text: string): string {
  return text.toLowerCase()
}

/** Compiles a pattern that has to match a whole text. */
export function compileGlob(pattern: string, options: GlobOptions): Glob {
  const folded = options.caseSensitive ? pattern : foldCase(pattern)
  const matchesFolded = wholeMatcher(folded, options.wildcards !== '*')
  return {
    literal: folded.includes('*') || (options.wildcards !== '*' && folded.includes('?')) ? null : folded,
    matches: options.caseSensitive ? matchesFolded : text => matchesFolded(foldCase(text)),
    matchesFolded,
  }
}

/**
 * Compiles a pattern that has to match, ignoring case, any part of a text which starts and ends at a word boundary, as
 * push rules do with `content.body`. A boundary is a place that does not stand between two characters of `[A-Za-z0-9_]`.
 * An empty pattern matches only an empty text: else it would match every message.
 */
export function compileWordGlob(pattern: string): Glob {
  const folded = foldCase(pattern)
  const hasWildcards = folded.includes('*') || folded.includes('?')
  const matchesFolded =
    folded === '' ? isEmpty : hasWildcards ? lazyAutomaton(folded, true, true) : wordLiteralMatcher(folded)
  return { literal: hasWildcards ? null : folded, matches: text => matchesFolded(foldCase(text)), matchesFolded }
}

/** Compiles a text without wildcards to be found as whole words, ignoring case: a display name in a message. */
export function compileWord(literal: string): Glob {
  const folded = foldCase(literal)
  const matchesFolded = folded === '' ? isEmpty : wordLiteralMatcher(folded)
  return { literal: folded, matches: text => matchesFolded(foldCase(text)), matchesFolded }
}

type Matcher = (text: string) => boolean

const isEmpty: Matcher = text => text === ''

function wholeMatcher(pattern: string, questionIsWildcard: boolean): Matcher {
  if (questionIsWildcard && pattern.includes('?')) return lazyAutomaton(pattern, true, false)
  if (!pattern.includes('*')) return text => text === pattern

  // Only stars: the pieces between them are found one after the other. Taking the first place where a piece
  // occurs is always right, because a later place leaves less text to the pieces that follow.
  const pieces = pattern.split('*')
  const first = pieces.shift() ?? ''
  const last = pieces.pop() ?? ''
  const middle = pieces.filter(piece => piece !== '')
  return text => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
    let from = first.length
    for (const piece of middle) {
      const found = text.indexOf(piece, from)
      if (found < 0) return false
      from = found + piece.length
    }
    return from + last.length <= text.length
  }
}

/** After this many places that fail at a boundary, the bounded automaton takes over from repeated searching. */
const failedPlacesLimit = 32

function wordLiteralMatcher(literal: string): Matcher {
  const automaton = lazyAutomaton(literal, false, true)
  return text => {
    let failed = 0
    for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, at + 1)) {
      if (isBoundary(text, at) && isBoundary(text, at + literal.length)) return true
      if (++failed > failedPlacesLimit) return automaton(text)
    }
    return false
  }
}

function isBoundary(text: string, index: number): boolean {
  return !(isWordCode(text.charCodeAt(index - 1)) && isWordCode(text.charCodeAt(index)))
}

/** False for `NaN`, which is what stands before the start and behind the end of a text. */
function isWordCode(code: number): boolean {
  return (
    (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95 // `_`
  )
}

function lazyAutomaton(pattern: string, hasWildcards: boolean, atWords: boolean): Matcher {
  let automaton: Matcher | null = null
  return text => (automaton ??= buildAutomaton(pattern, hasWildcards, atWords))(text)
}

/**
 * A bit-parallel automaton ("shift-and"). Bit i of the state says: the first i characters of the pattern, stars not
 * counted, can end here. Reading a character moves each bit that accepts it one up; a bit before a star also stays.
 * `?` is one character, not one UTF-16 unit, so this reads code points.
 */
function buildAutomaton(pattern: string, hasWildcards: boolean, atWords: boolean): Matcher {
  const symbols: (number | null)[] = []
  const loopsAt = new Set<number>()
  for (const character of pattern) {
    if (hasWildcards && character === '*') loopsAt.add(symbols.length)
    else symbols.push(hasWildcards && character === '?' ? null : (character.codePointAt(0) ?? null))
  }
  const words = (symbols.length >>> 5) + 1
  const setBit = (bits: Int32Array, bit: number): void => {
    bits[bit >>> 5] = (bits[bit >>> 5] ?? 0) | (1 << (bit & 31))
  }
  const anyCharacter = new Int32Array(words)
  const loops = new Int32Array(words)
  for (const bit of loopsAt) setBit(loops, bit)
  symbols.forEach((symbol, bit) => {
    if (symbol === null) setBit(anyCharacter, bit)
  })
  const byCharacter = new Map<number, Int32Array>()
  symbols.forEach((symbol, bit) => {
    if (symbol === null) return
    let bits = byCharacter.get(symbol)
    if (!bits) byCharacter.set(symbol, (bits = anyCharacter.slice()))
    setBit(bits, bit)
  })
  const finalWord = symbols.length >>> 5
  const finalBit = 1 << (symbols.length & 31)

  return text => {
    const state = new Int32Array(words)
    if (!atWords) state[0] = 1
    for (let index = 0; ;) {
      if (atWords && isBoundary(text, index)) {
        state[0] = (state[0] ?? 0) | 1
        if (((state[finalWord] ?? 0) & finalBit) !== 0) return true
      }
      const character = text.codePointAt(index)
      if (character === undefined) return !atWords && ((state[finalWord] ?? 0) & finalBit) !== 0
      index += character > 0xffff ? 2 : 1
      const accepts = byCharacter.get(character) ?? anyCharacter
      let carry = 0
      let alive = 0
      for (let word = 0; word < words; word++) {
        const before = state[word] ?? 0
        const moving = before & (accepts[word] ?? 0)
        state[word] = (moving << 1) | carry | (before & (loops[word] ?? 0))
        carry = moving >>> 31
        alive |= state[word] ?? 0
      }
      if (alive === 0 && !atWords) return false
    }
  }
}
