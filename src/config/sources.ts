import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse, YAMLError } from 'yaml'
import { childSchema, configJsonSchema, leafPaths, typesOf, type JsonSchema } from './json-schema.ts'
import { didYouMean, type Problem } from './problems.ts'

/** What file and environment say together, before it is checked. */
export interface Sources {
  /** As it would stand in one file. */
  readonly values: Readonly<Record<string, unknown>>
  /** Where each key that the environment sets comes from: `listen.port` → `LETHE_LISTEN__PORT`. */
  readonly origins: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/** The variables of the process, or a test's. */
export type Environment = Readonly<Record<string, string | undefined>>

const PREFIX = 'LETHE_'
const FILE_VARIABLE = 'LETHE_CONFIG'
/** Of the command line: no setting. */
const PASSPHRASE_VARIABLE = 'LETHE_KEYS_PASSPHRASE'
const DEFAULT_FILE = 'lethe.yaml'
const SECRET_FILE_LIMIT_BYTES = 65_536

/** Kubernetes sets these in every pod for a Service that is called `lethe…`; they are not ours. */
const KUBERNETES_LINK = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/

type Mutable = Record<string, unknown>

function isSection(value: unknown): value is Mutable {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads the file (`configFile`, else LETHE_CONFIG, else ./lethe.yaml if there is one) and lays the environment over it. */
export function readSources(environment: Environment, configFile: string | null, folder: string): Sources {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const origins = new Map<string, string>()
  const values = readFile(configFile ?? environment[FILE_VARIABLE] ?? null, folder, problems)
  const schema = configJsonSchema()
  for (const [name, text] of Object.entries(environment).sort()) {
    // An empty variable is one that was not filled in: templates leave them behind.
    if (text === undefined || text === '' || !name.startsWith(PREFIX) || name === FILE_VARIABLE) continue
    if (name === PASSPHRASE_VARIABLE) continue
    if (KUBERNETES_LINK.test(name) || /^tcp:\/\//.test(text)) continue
    const setting = findSetting(schema, name)
    if (setting === null) {
      problems.push({ key: name, message: 'is no setting of Lethe', hint: didYouMean(name, variableNames(schema)) })
      continue
    }
    const key = setting.path.join('.')
    // The file wins over the plain variable: it is where a secret is meant to be.
    if (!setting.fromFile && environment[`${name}_FILE`] !== undefined && environment[`${name}_FILE`] !== '') continue
    const value = setting.fromFile ? readSecret(name, resolve(folder, text), problems, warnings) : text
    if (value === null) continue
    origins.set(key, name)
    assign(values, setting.path, parseVariable(value, setting.schema))
  }
  return { values, origins, problems, warnings }
}

function readFile(given: string | null, folder: string, problems: Problem[]): Mutable {
  const path = resolve(folder, given ?? DEFAULT_FILE)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const isMissing = given === null && typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT' // prettier-ignore
    if (!isMissing)
      problems.push({ key: path, message: 'cannot be read', hint: 'It was named as the configuration file.' })
    return {}
  }
  try {
    const value: unknown = parse(text, { maxAliasCount: 100 })
    if (value === null || value === undefined) return {}
    if (isSection(value)) return value
    problems.push({ key: path, message: 'must hold keys and values', hint: 'For example: server_name: example.org' })
  } catch (error) {
    if (!(error instanceof YAMLError)) throw error
    // The first line says what and where; the lines after it quote the file, which may hold secrets.
    problems.push({
      key: path,
      message: `is not valid YAML: ${error.message.split('\n')[0]}`,
      hint: 'Check the indentation.',
    })
  }
  return {}
}

interface Setting {
  readonly path: readonly string[]
  readonly schema: JsonSchema
  readonly fromFile: boolean
}

/** The setting that a variable means: `LETHE_DATABASE__URL`, `LETHE_DATABASE__URL_FILE`. */
function findSetting(root: JsonSchema, name: string): Setting | null {
  const find = (text: string): { path: readonly string[]; schema: JsonSchema } | null => {
    const path = text.toLowerCase().split('__')
    let schema: JsonSchema | null = root
    for (const key of path) schema = schema === null ? null : childSchema(schema, key)
    return schema === null ? null : { path, schema }
  }
  const body = name.slice(PREFIX.length)
  const plain = find(body)
  if (plain !== null) return { ...plain, fromFile: false }
  const fromFile = body.endsWith('_FILE') ? find(body.slice(0, -'_FILE'.length)) : null
  return fromFile === null ? null : { ...fromFile, fromFile: true }
}

function variableNames(schema: JsonSchema): readonly string[] {
  return leafPaths(schema).map(path => `${PREFIX}${path.join('__').toUpperCase()}`)
}

/** A variable is text; what it means depends on the setting. What does not parse stays text, and the check then says so. */
function parseVariable(text: string, schema: JsonSchema): unknown {
  const types = typesOf(schema)
  const trimmed = text.trim()
  // Free-form values have no type of their own in the schema; they are written as JSON.
  if (types.has('object') || types.has('array') || types.size === 0) {
    if (types.has('array') && !trimmed.startsWith('[')) return trimmed.split(',').map((item) => item.trim()) // prettier-ignore
    try {
      return parse(trimmed) as unknown
    } catch {
      return text
    }
  }
  if (types.has('null') && trimmed === 'null') return null
  if (types.has('string')) return text
  if (types.has('boolean') && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true'
  if ((types.has('integer') || types.has('number')) && /^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed)
  return text
}

function readSecret(name: string, path: string, problems: Problem[], warnings: Problem[]): string | null {
  try {
    const { mode, size } = statSync(path)
    if (size > SECRET_FILE_LIMIT_BYTES) {
      problems.push({ key: name, message: `names a file of more than ${SECRET_FILE_LIMIT_BYTES} bytes`, hint: path })
      return null
    }
    if ((mode & 0o004) !== 0 && !/^\/(var\/)?run\/secrets\//.test(path)) {
      warnings.push({
        key: name,
        message: 'names a file that every user of this machine can read',
        hint: `chmod 600 ${path}`,
      })
    }
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch {
    problems.push({ key: name, message: 'names a file that cannot be read', hint: path })
    return null
  }
}

/** Sets a value deep in the tree. Where the file has something else than a section in the way, the file's is kept: the check
 *  then complains of it. */
function assign(root: Mutable, path: readonly string[], value: unknown): void {
  let place = root
  for (const key of path.slice(0, -1)) {
    place[key] ??= {}
    const next = place[key]
    if (!isSection(next)) return
    place = next
  }
  const last = path.at(-1)
  if (last !== undefined) place[last] = value
}
