import { join, resolve } from 'node:path'
import { databaseUrl } from './config/database-url.ts'
import { childSchema, configJsonSchema, keysOf, type JsonSchema } from './config/json-schema.ts'
import { problemsOf, type Problem } from './config/problems.ts'
import { settings, type Settings } from './config/schema.ts'
import { readSources, type Environment } from './config/sources.ts'
import { camelCase } from './config/values.ts'

export { configJsonSchema } from './config/json-schema.ts'
export { type Problem } from './config/problems.ts'

/** The settings of a running server: complete, checked, in camelCase and frozen. Durations are milliseconds, `dataDir`,
 *  `media.store.path` and `sealing.keyring.path` absolute; `database.url` is also made of its parts; what is not set and has no default is null. What each means stands in config/schema.ts. */
export type Config = Omit<Settings, 'media' | 'sealing'> & {
  readonly media: Omit<Settings['media'], 'store'> & { readonly store: { readonly path: string } }
  readonly sealing: Omit<Settings['sealing'], 'keyring'> & {
    readonly keyring: Omit<Settings['sealing']['keyring'], 'path'> & { readonly path: string }
  }
}

/** The settings, or everything that is wrong with them at once. Warnings do not keep a server from starting. */
export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Reads the settings: the YAML file (`configFile`, else LETHE_CONFIG, else ./lethe.yaml if there is one), over it the
 * variables `LETHE_<KEY>` with `__` between section and key, and over those `LETHE_<KEY>_FILE`, which name files that hold
 * the value. This is the only place that looks at the process's environment. Never throws for what it reads.
 */
export function loadConfig(
  options: { readonly env?: Environment; readonly configFile?: string | null; readonly cwd?: string } = {},
): LoadedConfig {
  const folder = options.cwd ?? process.cwd()
  const sources = readSources(options.env ?? process.env, options.configFile ?? null, folder)
  const parsed = settings.safeParse(sources.values)
  if (!parsed.success || sources.problems.length > 0) {
    const found = parsed.success ? [] : problemsOf(parsed.error.issues, configJsonSchema(), sources.origins)
    return { ok: false, problems: [...sources.problems, ...found] }
  }
  const values = parsed.data
  const dataDir = resolve(folder, values.dataDir)
  const path = values.media.store.path === null ? join(dataDir, 'media') : resolve(folder, values.media.store.path)
  const { keyring } = values.sealing
  const keyringPath = keyring.path === null ? join(dataDir, 'keyring', 'keyring') : resolve(folder, keyring.path)
  const config: Config = {
    ...values,
    dataDir,
    database: resolvedDatabase(values.database, folder),
    media: { ...values.media, store: { path } },
    sealing: { ...values.sealing, keyring: { ...keyring, path: keyringPath } },
  }
  return { ok: true, config: deepFreeze(config), warnings: [...sources.warnings, ...withoutEffect(config)] }
}

/** Settings that ask for what is not built. */
function withoutEffect({ federation, presence }: Config): readonly Problem[] {
  const message = 'has no effect'
  return [
    ...(federation.enabled
      ? [{ key: 'federation.enabled', message, hint: 'This version talks to no other servers.' }]
      : []),
    ...(presence.enabled
      ? [{ key: 'presence.enabled', message, hint: 'This version tells nobody who is online.' }]
      : []),
  ]
}

/** A database that was given in parts has its URL too. */
function resolvedDatabase(database: Settings['database'], folder: string): Settings['database'] {
  const { host } = database
  const caFile = database.caFile === null ? null : resolve(folder, database.caFile)
  return { ...database, caFile, url: host === null ? database.url : databaseUrl({ ...database, host, caFile }) }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const child of Object.values(value)) deepFreeze(child)
  return Object.freeze(value)
}

const MASK = '***'

/** The settings as they would stand in a file, defaults included, with every secret masked: fit to be shown. */
export function maskedConfig(config: Config): Readonly<Record<string, unknown>> {
  // The URL that was made of the parts is not another setting.
  const { database } = config
  const asSet = database.host === null ? config : { ...config, database: { ...database, url: null } }
  return mask(asSet, configJsonSchema()) as Readonly<Record<string, unknown>> // The root of the schema is a section.
}

function mask(value: unknown, schema: JsonSchema): unknown {
  if (value === null || value === undefined) return value
  if (schema.writeOnly === true || schema.anyOf?.some(variant => variant.writeOnly) === true) return maskSecret(value)
  if (typeof value !== 'object' || Array.isArray(value)) return value
  const keys = keysOf(schema)
  const entries = Object.entries(value)
  if (keys.length > 0) {
    const byName = new Map(entries)
    return Object.fromEntries(keys.map(key => [key, mask(byName.get(camelCase(key)), childSchema(schema, key) ?? {})]))
  }
  return Object.fromEntries(entries.map(([key, child]) => [key, mask(child, childSchema(schema, key) ?? {})]))
}

/** Of a URL only the password is secret. */
function maskSecret(value: unknown): string {
  if (typeof value !== 'string' || !/^postgres(ql)?:\/\//.test(value)) return MASK
  const url = new URL(value)
  if (url.password !== '') url.password = MASK
  url.search = ''
  return url.toString()
}
