/** A JSON value as it arrives from a client or a server. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject

/** A JSON object. Objects that come from `parseJson` have no prototype, so a key such as `__proto__` is an ordinary key. */
export interface JsonObject {
  [key: string]: JsonValue
}

/** True for a JSON object; false for arrays, null and everything else. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
