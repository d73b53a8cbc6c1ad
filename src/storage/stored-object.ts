import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { parseJson } from '../protocol/json-reader.ts'

/** The JSON object of a column; `null` if the row is damaged, which costs that row and nothing else. */
export function storedObject(text: string): JsonObject | null {
  const parsed = parseJson(text)
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : null
}
