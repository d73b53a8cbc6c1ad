import { type JsonObject, type JsonValue } from './json.ts'
import { federationJsonDepthLimit } from './json-reader.ts'
import { isRawNumber, rawNumberText } from './raw-number.ts'

/** A value that has no canonical JSON: a number or a string that is not allowed, or nesting beyond all limits. */
export class CanonicalJsonError extends Error {
  override readonly name = 'CanonicalJsonError'
}

/**
 * - `strict`: the spec's canonical JSON; events since room version 6 must be so.
 * - `lax`: any number is printed, a `rawNumber` as it was received and any other one as JavaScript prints it. Room
 *   versions 1 to 5 do not enforce canonical numbers, and Synapse computes every hash and signature in this way.
 *   Text from before the parser is the better source: Synapse prints a float as Python does (`1.0`, `1e+16`), and what
 *   it sends is what it hashed.
 */
export type CanonicalNumbers = 'strict' | 'lax'

/** A signed request wraps a body, and a body wraps events; a stack of this many levels is still far from its end. */
const depthLimit = federationJsonDepthLimit + 10

/** Characters that JSON must escape, and the surrogates, which need a look. */
const unusualCharacters = /["\\\u0000-\u001f\ud800-\udfff]/
const surrogates = /[\ud800-\udfff]/

/**
 * The canonical JSON of a value: shortest form, keys in the order of their code points. Only own keys count.
 * Throws `CanonicalJsonError` for numbers that `numbers` does not allow, for lone surrogates, and for whatever is no
 * JSON at all, `undefined` included. https://spec.matrix.org/v1.19/appendices/#canonical-json
 */
export function canonicalJson(value: JsonValue, numbers: CanonicalNumbers = 'strict'): string {
  return print(value, numbers, depthLimit)
}

/** `canonicalJson` in UTF-8. */
export function canonicalJsonBytes(value: JsonValue, numbers: CanonicalNumbers = 'strict'): Uint8Array {
  return Buffer.from(canonicalJson(value, numbers), 'utf8')
}

/** The order of canonical JSON's keys: by code point, which for characters beyond U+FFFF is not the order of `sort()`. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at++) {
    const a = left.charCodeAt(at)
    const b = right.charCodeAt(at)
    if (a === b) continue
    const aIsSurrogate = (a & 0xf800) === 0xd800
    const bIsSurrogate = (b & 0xf800) === 0xd800
    // A surrogate stands for a code point above every other unit.
    return aIsSurrogate === bIsSurrogate ? a - b : aIsSurrogate ? 1 : -1
  }
  return left.length - right.length
}

function print(value: JsonValue, numbers: CanonicalNumbers, levels: number): string {
  switch (typeof value) {
    case 'string':
      return printString(value)
    case 'number':
      return printNumber(value, numbers)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (levels === 0) throw new CanonicalJsonError('the value nests too deep')
      return Array.isArray(value) ? printArray(value, numbers, levels - 1) : printObject(value, numbers, levels - 1)
    default:
      throw new CanonicalJsonError(`a ${typeof value} is not JSON`)
  }
}

function printString(text: string): string {
  if (!unusualCharacters.test(text)) return `"${text}"`
  if (!text.isWellFormed()) throw new CanonicalJsonError('a string holds a lone surrogate')
  // For well-formed text JavaScript's escapes are the ones that the canonical grammar asks for.
  return JSON.stringify(text)
}

function printNumber(number: number, numbers: CanonicalNumbers): string {
  // String(-0) is "0", as the spec's example wants.
  if (Number.isSafeInteger(number)) return String(number)
  if (numbers === 'lax' && Number.isFinite(number)) return String(number)
  throw new CanonicalJsonError('a number is not an integer within ±(2^53−1)')
}

function printArray(items: JsonValue[], numbers: CanonicalNumbers, levels: number): string {
  let text = '['
  for (let at = 0; at < items.length; at++) {
    if (at > 0) text += ','
    // An index below the length holds a value; a hole would be `undefined`, which `print` refuses.
    text += print(items[at] as JsonValue, numbers, levels)
  }
  return `${text}]`
}

function printObject(object: JsonObject, numbers: CanonicalNumbers, levels: number): string {
  if (isRawNumber(object)) return printRawNumber(object, numbers)
  const keys = sortKeys(Object.keys(object))
  let text = '{'
  for (const key of keys) {
    if (text.length > 1) text += ','
    // An own key holds a value; where it is `undefined`, `print` refuses.
    text += `${printString(key)}:${print(object[key] as JsonValue, numbers, levels)}`
  }
  return `${text}}`
}

function printRawNumber(value: JsonObject, numbers: CanonicalNumbers): string {
  const text = rawNumberText(value)
  if (numbers === 'lax' && text !== null && Number.isFinite(Number(text))) return text
  throw new CanonicalJsonError('a number is not an integer within ±(2^53−1)')
}

/** Sorts in place. The plain sort goes by UTF-16 units, which is wrong only where surrogates take part. */
function sortKeys(keys: string[]): string[] {
  let isSorted = true
  for (let at = 0; at < keys.length; at++) {
    const key = keys[at]
    if (key === undefined) continue
    if (surrogates.test(key)) return keys.sort(compareCodePoints)
    const previous = keys[at - 1]
    if (previous !== undefined && previous > key) isSorted = false
  }
  return isSorted ? keys : keys.sort()
}
