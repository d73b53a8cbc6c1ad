import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/**
 * Splits a dot-separated property path into names: `content.m\.relates_to` is `['content', 'm.relates_to']`.
 * `\.` is a dot and `\\` a backslash inside a name; any other escape is left as it is. Never fails.
 * https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
export function parsePropertyPath(path: string): string[] {
  const names: string[] = []
  let name = ''
  for (let index = 0; index < path.length; index++) {
    const character = path.charAt(index)
    const next = path.charAt(index + 1)
    if (character === '.') {
      names.push(name)
      name = ''
    } else if (character === '\\' && (next === '.' || next === '\\')) {
      name += next
      index++
    } else {
      name += character
    }
  }
  names.push(name)
  return names
}

/** The value at a path of names, or `undefined` if some name on the way is absent. Inherited properties do not count. */
export function valueAtPath(object: JsonObject, names: readonly string[]): JsonValue | undefined {
  let value: JsonValue = object
  for (const name of names) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined
    const inner: JsonValue | undefined = value[name]
    if (inner === undefined) return undefined
    value = inner
  }
  return value
}
