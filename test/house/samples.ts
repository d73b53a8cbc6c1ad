import { type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { type Spec } from '../harness/spec.ts'

/** Values for path parameters by name: things that exist in the world of the test. */
export type PathValues = Readonly<Record<string, string>>

/** Everything that a path parameter may be called when it is not one of the world's own things. */
const otherParameters: PathValues = {
  txnId: 'transaction1',
  eventType: 'm.room.message',
  stateKey: '',
  receiptType: 'm.read',
  keyName: 'displayname',
  type: 'org.example.kind',
  tag: 'u.work',
  scope: 'global',
  secret: 'ltd_not_a_probe',
  kind: 'override',
  ruleId: '.m.rule.master',
  attr: 'enabled',
  relType: 'm.reference',
  version: '1',
  sessionId: 'session1',
  filterId: '0',
  authType: 'm.login.dummy',
  protocol: 'irc',
  networkId: 'net',
  appserviceId: 'bridge',
  fileName: 'file.txt',
  token: 'no-such-token',
  deleteId: 'no-such-job',
  purgeId: 'no-such-job',
  redactId: 'no-such-job',
  sweepId: 'no-such-job',
  reportId: '1',
}

/** The names of the parameters in a path, in order. */
export function parameterNames(path: string): readonly string[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
}

/** Puts values into a path. Throws for a parameter that nobody has a value for: then the test must learn of it. */
export function fillPath(path: string, values: PathValues): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const value = values[name] ?? otherParameters[name]
    if (value === undefined) throw new Error(`no sample for the path parameter "${name}" of ${path}`)
    return encodeURIComponent(value)
  })
}

/** Texts of which one satisfies any check that a body's field may have. */
const textCandidates = [
  'text', '@alice:lethe.test', '!room:lethe.test', '$event:lethe.test', '#alias:lethe.test', 'lethe.test', '',
  'mxc://lethe.test/abc', 'https://example.org/', '1',
] // prettier-ignore

/** A small value that a body's schema accepts, required fields only; `undefined` where none was found. */
export function sampleOf(schema: TSchema): JsonValue | undefined {
  // The schema's own keywords, read one by one.
  const keywords = schema as unknown as Readonly<Record<string, unknown>>
  const options = keywords['anyOf']
  if (Array.isArray(options)) return (options as TSchema[]).map(sampleOf).find(value => value !== undefined)
  const check = Compile(schema)
  const candidates: JsonValue[] = []
  if ('const' in keywords) candidates.push(keywords['const'] as JsonValue)
  if (isJsonObject(keywords['properties'])) {
    const required = new Set(Array.isArray(keywords['required']) ? (keywords['required'] as string[]) : [])
    const entries = Object.entries(keywords['properties'] as unknown as Record<string, TSchema>)
    const made: JsonObject = {}
    for (const [key, item] of entries) if (required.has(key)) made[key] = sampleOf(item) ?? null
    candidates.push(made)
  }
  candidates.push(...textCandidates, 1, 0, true, [], {}, null)
  return candidates.find(value => check.Check(value))
}

/** Texts of which one satisfies any check that a query parameter may have. */
const queryCandidates = ['b', '1', 'true', 'text', '@alice:lethe.test', 'lethe.test', 'https://example.org/', 'scale']

/** Values for the query parameters that the endpoint cannot do without, as a query string with its `?`, or ''. */
export function sampleQuery(endpoint: Endpoint): string {
  const accepts = (name: string, values: readonly string[]) => {
    try {
      endpoint.query[name]?.decode(values, name)
      return true
    } catch {
      // A decoder throws for nothing but the value.
      return false
    }
  }
  const pairs = Object.keys(endpoint.query).flatMap(name => {
    if (accepts(name, [])) return []
    const value = queryCandidates.find(candidate => accepts(name, [candidate]))
    return value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
  })
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** A body that the endpoint's declaration accepts, with what the specification's example adds; `null` for none. */
export function sampleBody(endpoint: Endpoint, spec: Spec | null): JsonObject | null {
  if (!endpoint.bodySchema) return null
  const minimal = sampleOf(endpoint.bodySchema)
  const shape = endpoint.paths[0]?.replace(/:\w+/g, '{}')
  const example = spec?.operations.find(
    operation => operation.method === endpoint.method && operation.path.replace(/\{\w+\}/g, '{}') === shape,
  )?.bodyExample
  const merged = { ...example, ...(isJsonObject(minimal) ? minimal : {}) }
  const check = Compile(endpoint.bodySchema)
  if (example && check.Check(example)) return example
  return check.Check(merged) ? merged : isJsonObject(minimal) ? minimal : {}
}
