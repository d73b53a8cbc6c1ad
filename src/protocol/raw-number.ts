import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/** `JSON.rawJSON` and `JSON.isRawJSON`, which Node has and this project's `lib` does not describe yet. */
interface RawJson {
  rawJSON(text: string): JsonObject
  isRawJSON(value: unknown): boolean
}
// Both functions exist in every version of Node that `engines` allows.
const rawJson = JSON as unknown as RawJson

/**
 * A number that must be printed exactly as it was written, because a JavaScript number could not print it back: `1.0`,
 * `1e3`, `-0`, `9007199254740993`. Events of room versions 1 to 5 may hold such numbers, and their hashes cover the
 * text. It is a frozen object that `JSON.stringify` and `canonicalJson` (lax) print as that text.
 */
export function rawNumber(text: string): JsonObject {
  return rawJson.rawJSON(text)
}

/** True for a value made by `rawNumber`, which to every other check looks like an object. */
export function isRawNumber(value: unknown): boolean {
  return rawJson.isRawJSON(value)
}

/** The text of a raw number as it was received; `null` for every other value. */
export function rawNumberText(value: JsonValue | undefined): string | null {
  if (!isJsonObject(value) || !isRawNumber(value)) return null
  const text = value['rawJSON']
  return typeof text === 'string' ? text : null
}
