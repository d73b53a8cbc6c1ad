import { type JsonValue } from './json.ts'
import { isRawNumber, rawNumber } from './raw-number.ts'

/** How deep arrays and objects may nest in what a client sends, and in an event. */
export const jsonDepthLimit = 100

/**
 * How deep they may nest in a body from another server. It is wider than the limit of an event, so that one event that
 * is too deep costs that event and not the whole transaction that carries it.
 */
export const federationJsonDepthLimit = 1000

/**
 * Why a text was refused. `not_json` and `bad_utf8` are `M_NOT_JSON` to whoever sent it; the others are `M_BAD_JSON`.
 * `bad_string` is a lone surrogate, `bad_number` a number that the asked rule does not allow.
 */
export type JsonProblem = 'not_json' | 'too_deep' | 'bad_utf8' | 'bad_string' | 'bad_number'

export type ParsedJson =
  { readonly ok: true; readonly value: JsonValue } | { readonly ok: false; readonly problem: JsonProblem }

export interface ParseJsonOptions {
  /**
   * - `open` (default): any number that a double can hold; `1e400` is refused.
   * - `strict`: canonical JSON only, i.e. integers within ±(2^53−1) without fraction, exponent or `-0`.
   *   For the events that clients send.
   * - `preserved`: everything is allowed, and a number that would not print back as it was written becomes a
   *   `rawNumber`. For whatever other servers signed: `1.0` must not turn into `1` before the rules of a room version
   *   have seen it.
   */
  readonly numbers?: 'open' | 'strict' | 'preserved'
  /** Levels of nesting; `jsonDepthLimit` unless told. */
  readonly depthLimit?: number
}

// `ignoreBOM` keeps a byte order mark in the text, where JSON does not allow it.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const refusedUtf8: ParsedJson = { ok: false, problem: 'bad_utf8' }
const refusedSyntax: ParsedJson = { ok: false, problem: 'not_json' }
const refusedDepth: ParsedJson = { ok: false, problem: 'too_deep' }
const refusedString: ParsedJson = { ok: false, problem: 'bad_string' }
const refusedNumber: ParsedJson = { ok: false, problem: 'bad_number' }

/**
 * Reads JSON from outside. Never throws. The objects in the value have no prototype, so that every key, `__proto__` and
 * `constructor` included, is an ordinary one; of a key that comes twice the last value wins. Strings and keys are
 * well-formed Unicode. The depth is checked before anything is built.
 */
export function parseJson(input: Uint8Array | string, options: ParseJsonOptions = {}): ParsedJson {
  let text: string
  if (typeof input === 'string') {
    if (!input.isWellFormed()) return refusedString
    text = input
  } else {
    const decoded = decodeUtf8(input)
    if (decoded === null) return refusedUtf8
    text = decoded
  }
  const numbers = options.numbers ?? 'open'
  const found = scan(text, options.depthLimit ?? jsonDepthLimit)
  if (found === null) return refusedDepth
  const preserves = numbers === 'preserved' && found.unusualNumbers
  const value = parse(text, preserves)
  if (value === undefined) return refusedSyntax
  if (numbers === 'strict' && found.unusualNumbers) return refusedNumber
  if (numbers === 'open' && found.infiniteNumbers) return refusedNumber
  // The text itself is well-formed, so a lone surrogate can only come from an escape such as \ud800.
  if (!settle(value, found.surrogateEscapes)) return refusedString
  return { ok: true, value }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    if (
      typeof error === 'object' &&
      error !== null &&
      'code' in error &&
      error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
    )
      return null
    throw error
  }
}

/** `undefined` when the text is not JSON. */
function parse(text: string, preservesNumbers: boolean): JsonValue | undefined {
  try {
    // `JSON.parse` returns nothing but JSON values.
    return (preservesNumbers ? JSON.parse(text, preserveNumber) : JSON.parse(text)) as JsonValue
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function preserveNumber(_key: string, value: JsonValue, context?: { readonly source?: string }): JsonValue {
  const source = context?.source
  return typeof value === 'number' && source !== undefined && String(value) !== source ? rawNumber(source) : value
}

/**
 * Takes the prototype from every object, and tells whether all strings are well-formed (asked only where the text holds
 * escapes of surrogates). Its recursion is bounded by the depth that the scan allowed.
 */
function settle(value: JsonValue, checksStrings: boolean): boolean {
  if (typeof value === 'string') return !checksStrings || value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) {
    for (const item of value) {
      if ((checksStrings || typeof item === 'object') && !settle(item, checksStrings)) return false
    }
    return true
  }
  if (isRawNumber(value)) return true
  Object.setPrototypeOf(value, null)
  for (const key in value) {
    const item = value[key]
    if (checksStrings && !key.isWellFormed()) return false
    if (item !== undefined && (checksStrings || typeof item === 'object') && !settle(item, checksStrings)) return false
  }
  return true
}

interface Scan {
  /** Some number is not an integer within ±(2^53−1) in its shortest form. */
  readonly unusualNumbers: boolean
  /** Some number is beyond what a double can hold. */
  readonly infiniteNumbers: boolean
  /** Some string holds an escape of the kind \ud8xx to \udfxx. */
  readonly surrogateEscapes: boolean
}

const quote = 0x22
const minus = 0x2d
const zero = 0x30
const nine = 0x39
const backslash = 0x5c
/** An integer of so many characters is always within ±(2^53−1). */
const safeIntegerCharacters = 15

/** One pass over the text: its depth (`null` when beyond the limit), and what `JSON.parse` would hide about it. */
function scan(text: string, depthLimit: number): Scan | null {
  let depth = 0
  let unusualNumbers = false
  let infiniteNumbers = false
  let surrogateEscapes = false
  const hasEscapes = text.includes('\\')
  const length = text.length
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      if (!hasEscapes) {
        const end = text.indexOf('"', at + 1)
        if (end < 0) break
        at = end
        continue
      }
      for (at++; at < length; at++) {
        const inside = text.charCodeAt(at)
        if (inside === quote) break
        if (inside !== backslash) continue
        at++
        // \uD… in either case of the letter d; whether it is a surrogate is then for the strings themselves to show.
        if (text[at] === 'u' && (text[at + 1] === 'd' || text[at + 1] === 'D')) surrogateEscapes = true
      }
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > depthLimit) return null
    } else if (code === 0x7d || code === 0x5d) {
      depth--
    } else if ((code >= zero && code <= nine) || code === minus) {
      const start = at
      let isInteger = true
      for (at++; at < length; at++) {
        const next = text.charCodeAt(at)
        if (next >= zero && next <= nine) continue
        // "+", "-", ".", "E", "e" belong to the number too.
        if (next !== 0x2b && next !== minus && next !== 0x2e && next !== 0x45 && next !== 0x65) break
        isInteger = false
      }
      if (!isInteger || at - start > safeIntegerCharacters || (code === minus && text.charCodeAt(start + 1) === zero)) {
        const number = Number(text.slice(start, at))
        if (!Number.isFinite(number)) infiniteNumbers = true
        if (!isInteger || !Number.isSafeInteger(number) || Object.is(number, -0)) unusualNumbers = true
      }
      at--
    }
  }
  return { unusualNumbers, infiniteNumbers, surrogateEscapes }
}
