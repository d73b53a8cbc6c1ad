import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'

/** What a text in a path or a query may be replaced with, percent-encoded already. */
export const textMutants: readonly string[] = [
  '%20', '0', '-1', '1.5', '9007199254740992', '1e400', 'null', 'true', '%5B%5D', '%7B%7D', '%22', '%27%3B--', '..%2F..%2Fetc',
  `${'x'.repeat(256)}`, `${'x'.repeat(8_000)}`, '%00', '%ED%A0%80', '%zz', '%F0%9F%98%80', '__proto__', '%40a%3Ab', '%21a%3Ab',
  '%24a', '%23a%3Ab', '%2A',
] // prettier-ignore

const deep = `${'['.repeat(1_000)}${']'.repeat(1_000)}`

/** What a value in a body may be replaced with, as JSON text. */
export const jsonMutants: readonly string[] = [
  'null', 'true', '0', '-1', '1.5', '9007199254740992', '1e400', '""', '" "', JSON.stringify('x'.repeat(256)),
  JSON.stringify('x'.repeat(65_536)), '"\\u0000"', '"\\ud800"', '[]', '{}', '[null]', '{"__proto__":{"a":1}}', '{"":null}', deep,
  '"@a:b"', '[["x"]]', '{"a":{"b":{"c":[]}}}',
] // prettier-ignore

/** Whole bodies that are wrong in themselves. */
export const bodyMutants: readonly (string | Uint8Array)[] = [
  '', ' ', '{', '}', '{}', '[]', 'null', '1', '"text"', 'true', '{"a":}', '{"a":1,}', "{'a':1}", '{"a":NaN}', '{"a":1e400}',
  '{"a":"\\ud800"}', `{"a":${deep}}`, '\ufeff{}', '{"__proto__":null}', '{"a":1}{"b":2}', '<xml/>', 'a=b&c=d',
  Uint8Array.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]), Uint8Array.from([0x00]),
] // prettier-ignore

/** Where a value stands in a body. */
type Place = readonly (string | number)[]

const depthLimit = 4
const placeLimit = 40

/** Every place in a body, to a depth and a number that leave the test finite. */
export function placesOf(body: JsonObject): readonly Place[] {
  const places: Place[] = []
  const walk = (value: JsonValue, place: Place) => {
    if (place.length > 0) places.push(place)
    if (place.length >= depthLimit) return
    if (Array.isArray(value)) value.slice(0, 2).forEach((item, index) => walk(item, [...place, index]))
    else if (isJsonObject(value)) for (const [key, item] of Object.entries(value)) walk(item, [...place, key])
  }
  walk(body, [])
  return places.slice(0, placeLimit)
}

/** The body with the value at a place written as `json`, or without it when `json` is `null`. */
export function withMutant(body: JsonObject, place: Place, json: string | null): string {
  const write = (value: JsonValue, rest: Place): string => {
    const [key, ...deeper] = rest
    if (key === undefined) return json ?? 'null'
    const isLast = deeper.length === 0
    if (Array.isArray(value)) {
      const items = value.flatMap((item, index) =>
        index !== key ? [JSON.stringify(item)] : isLast && json === null ? [] : [write(item, deeper)],
      )
      return `[${items.join(',')}]`
    }
    if (!isJsonObject(value)) return JSON.stringify(value)
    const entries = Object.entries(value).flatMap(([name, item]) =>
      name !== key
        ? [`${JSON.stringify(name)}:${JSON.stringify(item)}`]
        : isLast && json === null
          ? []
          : [`${JSON.stringify(name)}:${write(item, deeper)}`],
    )
    return `{${entries.join(',')}}`
  }
  return write(body, place)
}
