import { isJsonObject, type JsonValue } from './json.ts'

/** The bytes of memory that a parsed JSON value takes, roughly: for limits of caches. */
export function memoryOf(value: JsonValue): number {
  if (typeof value === 'string') return 32 + value.length * 2
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + memoryOf(item), 32)
  if (!isJsonObject(value)) return 16
  let bytes = 64
  for (const key in value) {
    const item = value[key]
    bytes += 24 + key.length + (item === undefined ? 0 : memoryOf(item))
  }
  return bytes
}
