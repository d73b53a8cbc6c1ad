import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { type Caller } from './people.ts'

/** The status and the errcode of an answer: `[200, null]` for one that is no refusal. */
export async function answerOf(
  person: Caller,
  method: string,
  path: string,
  body?: JsonObject,
): Promise<[status: number, errcode: string | null]> {
  const done = await person.request(method, path, body)
  const errcode = isJsonObject(done.json) ? done.json['errcode'] : undefined
  return [done.status, typeof errcode === 'string' ? errcode : null]
}
