import { type Answer } from './connection.ts'
import { ScenarioError } from './errors.ts'

/** A JSON object whose members have not been looked at. */
export type JsonObject = Readonly<Record<string, unknown>>

/** The parsed body. Throws `ScenarioError` if it is not a JSON object. */
export function jsonObject(answer: Answer): JsonObject {
  const parsed = objectOrNull(answer.text)
  if (parsed === null) throw new ScenarioError(`an answer with status ${answer.status} is not a JSON object`)
  return parsed
}

/** A member that must be a string. Throws `ScenarioError` otherwise. */
export function stringMember(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value !== 'string') throw new ScenarioError(`the answer has no string '${name}'`)
  return value
}

/** A member that is an object, or an empty object. */
export function objectMember(object: JsonObject, name: string): JsonObject {
  const value = object[name]
  return isObject(value) ? value : {}
}

/** A member that is a list, or an empty list. */
export function listMember(object: JsonObject, name: string): readonly unknown[] {
  const value = object[name]
  return Array.isArray(value) ? value : []
}

/** True for JSON objects, false for lists, null and scalars. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Status and errcode of a refusal, for people. Never the server's own wording, which may quote what it was sent. */
export function describeRefusal(answer: Answer): string {
  const errcode = objectOrNull(answer.text)?.['errcode']
  return `${answer.status}${typeof errcode === 'string' ? ` ${errcode}` : ''}`
}

/** What a 429 asks for, in ms; one second where it does not say. https://spec.matrix.org/v1.19/client-server-api/#rate-limiting */
export function retryAfterMs(answer: Answer): number {
  const value = objectOrNull(answer.text)?.['retry_after_ms']
  return typeof value === 'number' && value >= 0 ? value : 1_000
}

function objectOrNull(text: string): JsonObject | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return isObject(parsed) ? parsed : null
  } catch {
    return null
  }
}
