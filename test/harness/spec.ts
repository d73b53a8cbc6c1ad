import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'

/** Where the specification's OpenAPI files are looked for: beside the repository. */
export const specFolder = join(dirname(fileURLToPath(import.meta.url)), '../../../shared/matrix-spec')

/** Who may call an operation, by the OpenAPI's `security`. */
export type SpecAuth = 'none' | 'optional' | 'user' | 'appservice' | 'server'

/** One operation of the specification. */
export interface SpecOperation {
  readonly api: 'client-server' | 'server-server'
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** `/_matrix/client/v3/rooms/{roomId}/join` */
  readonly path: string
  readonly operationId: string
  readonly auth: SpecAuth
  readonly isDeprecated: boolean
  /** Status → the address of the schema of its JSON body, or `null` where it has none. */
  readonly responses: Readonly<Record<string, string | null>>
  /** An example of the JSON body, where the files give one. */
  readonly bodyExample: JsonObject | null
}

export interface Spec {
  readonly operations: readonly SpecOperation[]
  /** Every file by its address. */
  readonly documents: Readonly<Record<string, JsonValue>>
}

/** The specification, or `null` where its files are not at hand. Parsed once; later processes read the parsed form. */
export function loadSpec(): Spec | null {
  if (!existsSync(specFolder)) return null
  const documents = loadDocuments()
  return {
    documents,
    operations: [...operationsOf('client-server', documents), ...operationsOf('server-server', documents)],
  }
}

const documentBase = 'spec:///'

function loadDocuments(): Record<string, JsonValue> {
  const files = (readdirSync(specFolder, { recursive: true }) as string[])
    .filter(name => /\.(yaml|json)$/.test(name))
    .sort()
  const stamp = createHash('sha256')
  for (const name of files) stamp.update(`${name} ${statSync(join(specFolder, name)).mtimeMs} `)
  const cache = join(tmpdir(), 'lethe-tests-spec', `${stamp.digest('hex').slice(0, 16)}.json`)
  // Written below, by this function.
  if (existsSync(cache)) return JSON.parse(readFileSync(cache, 'utf8')) as Record<string, JsonValue>
  const documents: Record<string, JsonValue> = {}
  for (const name of files) {
    // YAML gives JSON values for files that use no tags, and these use none.
    const document = parse(readFileSync(join(specFolder, name), 'utf8')) as JsonValue
    documents[`${documentBase}${name}`] = withAbsoluteReferences(document, `${documentBase}${name}`)
  }
  mkdirSync(dirname(cache), { recursive: true })
  writeFileSync(`${cache}.${process.pid}`, JSON.stringify(documents))
  renameSync(`${cache}.${process.pid}`, cache)
  return documents
}

/** Every `$ref` made absolute, so that it means the same wherever the schema around it is used. */
function withAbsoluteReferences(value: JsonValue, address: string): JsonValue {
  if (Array.isArray(value)) return value.map(item => withAbsoluteReferences(item, address))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      key === '$ref' && typeof item === 'string' ? new URL(item, address).href : withAbsoluteReferences(item, address),
    ]),
  )
}

const methods = ['get', 'post', 'put', 'delete'] as const

function operationsOf(api: SpecOperation['api'], documents: Record<string, JsonValue>): SpecOperation[] {
  const prefix = `${documentBase}api/${api}/`
  const operations: SpecOperation[] = []
  for (const [address, document] of Object.entries(documents)) {
    if (!address.startsWith(prefix) || !address.endsWith('.yaml') || address.slice(prefix.length).includes('/'))
      continue
    if (!isJsonObject(document) || !isJsonObject(document['paths'])) continue
    const base = basePathOf(document)
    for (const [path, item] of Object.entries(document['paths'])) {
      for (const method of methods) {
        const operation = isJsonObject(item) ? item[method] : undefined
        if (!isJsonObject(operation)) continue
        operations.push({
          api,
          // One of the four names above in capitals.
          method: method.toUpperCase() as SpecOperation['method'],
          // The files tell two operations of one path apart by a space at its end.
          path: `${base}${path}`.trim(),
          operationId: String(operation['operationId']),
          auth: authOf(operation['security']),
          isDeprecated: operation['deprecated'] === true,
          bodyExample: bodyExampleOf(operation['requestBody'], documents),
          responses: responsesOf(operation, `${address}#/paths/${escapePointer(path)}/${method}/responses`),
        })
      }
    }
  }
  return operations
}

function basePathOf(document: JsonObject): string {
  const [server] = Array.isArray(document['servers']) ? document['servers'] : []
  if (!isJsonObject(server) || !isJsonObject(server['variables'])) return ''
  const variable = server['variables']['basePath']
  const base = isJsonObject(variable) ? variable['default'] : undefined
  return typeof base === 'string' && base !== '/' ? base.replace(/\/$/, '') : ''
}

function authOf(security: JsonValue | undefined): SpecAuth {
  if (!Array.isArray(security) || security.length === 0) return 'none'
  const names = security.flatMap(entry => (isJsonObject(entry) ? Object.keys(entry) : []))
  if (names.includes('signedRequest')) return 'server'
  if (names.some(name => name.startsWith('appserviceAccessToken'))) return 'appservice'
  return security.some(entry => isJsonObject(entry) && Object.keys(entry).length === 0) ? 'optional' : 'user'
}

function responsesOf(operation: JsonObject, address: string): Record<string, string | null> {
  const responses: Record<string, string | null> = {}
  if (!isJsonObject(operation['responses'])) return responses
  for (const [status, response] of Object.entries(operation['responses'])) {
    const content = isJsonObject(response) ? response['content'] : undefined
    const json = isJsonObject(content) ? content['application/json'] : undefined
    const hasSchema = isJsonObject(json) && json['schema'] !== undefined
    responses[status] = hasSchema ? `${address}/${status}/content/application~1json/schema` : null
  }
  return responses
}

/** The example of a body; where the schema has none, one that is put together from those of its properties. */
function bodyExampleOf(body: JsonValue | undefined, documents: Record<string, JsonValue>): JsonObject | null {
  const content = isJsonObject(body) ? body['content'] : undefined
  const json = isJsonObject(content) ? content['application/json'] : undefined
  if (!isJsonObject(json)) return null
  if (isJsonObject(json['example'])) return json['example']
  const example = exampleOf(json['schema'], documents, 0)
  return isJsonObject(example) ? example : null
}

function exampleOf(
  schema: JsonValue | undefined,
  documents: Record<string, JsonValue>,
  depth: number,
): JsonValue | undefined {
  if (!isJsonObject(schema) || depth > 8) return undefined
  if (typeof schema['$ref'] === 'string')
    return exampleOf(resolveReference(schema['$ref'], documents), documents, depth + 1)
  if (schema['example'] !== undefined) return schema['example']
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  if (isJsonObject(schema['properties'])) {
    const entries = Object.entries(schema['properties']).flatMap(([key, item]) => {
      const value = exampleOf(item, documents, depth + 1)
      return value === undefined ? [] : [[key, value] as const]
    })
    return Object.fromEntries(entries)
  }
  for (const key of ['allOf', 'oneOf', 'anyOf']) {
    const parts = schema[key]
    if (!Array.isArray(parts)) continue
    const examples = parts.map(part => exampleOf(part, documents, depth + 1)).filter(isJsonObject)
    if (examples.length > 0) return Object.assign({}, ...examples) as JsonObject
  }
  if (schema['type'] === 'array') {
    const item = exampleOf(schema['items'], documents, depth + 1)
    return item === undefined ? [] : [item]
  }
  const simple: Readonly<Record<string, JsonValue>> = {
    string: 'text',
    integer: 1,
    number: 1,
    boolean: true,
    object: {},
  }
  return typeof schema['type'] === 'string' ? simple[schema['type']] : undefined
}

function resolveReference(address: string, documents: Record<string, JsonValue>): JsonValue | undefined {
  const [file = '', pointer = ''] = address.split('#')
  let here: JsonValue | undefined = documents[file]
  for (const segment of pointer.split('/').slice(1)) {
    const key = decodeURIComponent(segment).replaceAll('~1', '/').replaceAll('~0', '~')
    here = isJsonObject(here) ? here[key] : undefined
  }
  return here
}

function escapePointer(segment: string): string {
  return encodeURIComponent(segment.replaceAll('~', '~0').replaceAll('/', '~1'))
}
