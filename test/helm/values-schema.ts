import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml'
import { configJsonSchema } from '../../src/config.ts'
import { childSchema, type JsonSchema, keysOf } from '../../src/config/json-schema.ts'

/** The folder of the chart. */
export const chart = fileURLToPath(new URL('../../helm/lethe/', import.meta.url))

type Schema = Readonly<Record<string, unknown>>

/** Settings that the chart decides: they are values of their own, or of no use in a cluster. A section falls whole. */
const ownSettings = new Set([
  'server_name', 'public_base_url', 'data_dir', 'listen', 'metrics', 'admin.listen', 'signing_key', 'media.store',
  'sealing.keyring.path', 'database.url', 'database.host', 'database.port', 'database.name', 'database.user',
  'database.password', 'database.tls', 'database.ca_file',
]) // prettier-ignore

const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const name: Schema = { type: 'string', pattern: '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$', maxLength: 253 }
const port: Schema = { type: 'integer', minimum: 1, maximum: 65535 }
const size: Schema = { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?([KMGTPE]i?)?$' }
const count = (minimum: number): Schema => ({ type: 'integer', minimum })
const oneOf = (...values: readonly string[]): Schema => ({ enum: values })
const map: Schema = { type: 'object' }
const texts: Schema = { type: 'object', additionalProperties: { type: 'string' } }
const maps: Schema = { type: 'array', items: { type: 'object' } }
const digest: Schema = { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' }
const secretKey: Schema = { type: 'string', pattern: '^[-._a-zA-Z0-9]*$', maxLength: 253 }
const accessMode = oneOf('ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany')
const pullPolicy = oneOf('Always', 'IfNotPresent', 'Never')
const interval: Schema = { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' }

/** What each value may be, by its path; where values.yaml has a map with keys of its own, each key has an entry. */
const types: Readonly<Record<string, Schema>> = {
  serverName: { type: 'string', pattern: '^([A-Za-z0-9.-]+|\\[[0-9a-fA-F:.]+\\])?(:[0-9]{1,5})?$', maxLength: 230 },
  publicUrl: { type: 'string', pattern: '^(https?://[^/?#@\\s]+/?)?$' },
  'existingConfig.name': name,
  'existingConfig.key': secretKey,
  'image.repository': { type: 'string', minLength: 1 },
  'image.tag': { type: 'string', not: { const: 'latest' } },
  'image.digest': digest,
  'image.pullPolicy': pullPolicy,
  imagePullSecrets: maps,
  'database.mode': oneOf('external', 'cnpg', 'bundled'),
  'database.host': text,
  'database.port': port,
  'database.name': { type: 'string', pattern: '^[A-Za-z0-9_.-]+$' },
  'database.user': { type: 'string', minLength: 1 },
  'database.existingSecret': name,
  'database.secretKeys.uri': secretKey,
  'database.secretKeys.host': secretKey,
  'database.secretKeys.port': secretKey,
  'database.secretKeys.name': secretKey,
  'database.secretKeys.user': secretKey,
  'database.secretKeys.password': secretKey,
  'database.tls': oneOf('off', 'unverified', 'verified'),
  'database.caSecret.name': name,
  'database.caSecret.key': secretKey,
  'database.cnpg.instances': count(1),
  'database.cnpg.imageName': { type: 'string', not: { pattern: ':latest$' } },
  'database.cnpg.size': size,
  'database.cnpg.storageClass': name,
  'database.cnpg.resources': map,
  'database.cnpg.spec': map,
  'database.bundled.image.repository': { type: 'string', minLength: 1 },
  'database.bundled.image.tag': { type: 'string', minLength: 1, not: { const: 'latest' } },
  'database.bundled.image.digest': digest,
  'database.bundled.image.pullPolicy': pullPolicy,
  'database.bundled.size': size,
  'database.bundled.storageClass': name,
  'database.bundled.existingClaim': name,
  'database.bundled.resources': map,
  'signingKey.existingSecret': name,
  'signingKey.key': secretKey,
  'media.size': size,
  'media.storageClass': name,
  'media.accessMode': accessMode,
  'media.existingClaim': name,
  'media.keep': flag,
  'keyring.size': size,
  'keyring.storageClass': name,
  'keyring.accessMode': accessMode,
  'keyring.existingClaim': name,
  'keyring.keep': flag,
  replicas: { type: 'integer', minimum: 0, maximum: 50 },
  'autoscaling.enabled': flag,
  'autoscaling.minReplicas': count(1),
  'autoscaling.maxReplicas': { type: 'integer', minimum: 1, maximum: 50 },
  'autoscaling.targetCPU': { type: 'integer', minimum: 1, maximum: 100 },
  'podDisruptionBudget.enabled': flag,
  'podDisruptionBudget.maxUnavailable': { anyOf: [count(1), { type: 'string', pattern: '^[0-9]{1,2}%$' }] },
  'service.type': oneOf('ClusterIP', 'NodePort', 'LoadBalancer'),
  'service.port': port,
  'service.annotations': texts,
  'adminListener.enabled': flag,
  'adminListener.port': port,
  'ingress.enabled': flag,
  'ingress.className': text,
  'ingress.annotations': texts,
  'ingress.clusterIssuer': text,
  'ingress.tls': flag,
  'ingress.tlsSecret': name,
  'gateway.enabled': flag,
  'gateway.parentRefs': maps,
  'gateway.annotations': texts,
  wellKnown: flag,
  'networkPolicy.enabled': flag,
  'networkPolicy.clientsFrom': maps,
  'networkPolicy.administratorsFrom': maps,
  'networkPolicy.metricsFrom': maps,
  'networkPolicy.databaseTo': maps,
  'networkPolicy.databasePort': port,
  'networkPolicy.extraEgress': maps,
  'metrics.serviceMonitor.enabled': flag,
  'metrics.serviceMonitor.interval': interval,
  'metrics.serviceMonitor.labels': texts,
  'metrics.prometheusRule.enabled': flag,
  'metrics.prometheusRule.labels': texts,
  'metrics.prometheusRule.alertLabels': texts,
  'metrics.prometheusRule.extraGroups': maps,
  'metrics.dashboard.enabled': flag,
  'metrics.dashboard.labels': texts,
  'metrics.dashboard.annotations': texts,
  'jobs.configCheck': flag,
  'jobs.migrate': flag,
  'jobs.deadlineSeconds': count(30),
  'jobs.resources': map,
  'serviceAccount.annotations': texts,
  'serviceAccount.name': name,
  resources: map,
  maxOldSpaceMiB: count(128),
  bindAddress: { type: 'string', minLength: 1 },
  terminationGracePeriodSeconds: { type: 'integer', minimum: 31, maximum: 3600 },
  commonLabels: texts,
  podLabels: texts,
  podAnnotations: texts,
  podSecurityContext: { type: 'object', properties: { runAsNonRoot: { const: true }, runAsUser: count(1) } },
  nodeSelector: texts,
  tolerations: maps,
  affinity: map,
  topologySpreadConstraints: maps,
  priorityClassName: text,
  runtimeClassName: text,
  extraEnv: maps,
  extraVolumes: maps,
  extraVolumeMounts: maps,
  extraContainers: maps,
  extraObjects: { type: 'array', items: { type: ['object', 'string'] } },
  nameOverride: { type: 'string', pattern: '^[a-z0-9-]*$', maxLength: 40 },
  fullnameOverride: { type: 'string', pattern: '^[a-z0-9-]*$', maxLength: 40 },
}

/** One value of the chart, as values.yaml has it. */
export interface Value {
  readonly path: string
  readonly default: unknown
  /** The comment above it; empty when there is none. */
  readonly comment: string
}

/** All values of values.yaml, in its order, with what stands above them. Throws at one that has no type. */
export async function readValues(): Promise<readonly Value[]> {
  const document = parseDocument(await readFile(`${chart}values.yaml`, 'utf8'))
  if (!isMap(document.contents)) throw new Error('values.yaml is no map')
  const found: Value[] = []
  visit(document.contents, '', found)
  return found
}

const generated = new Set(['config', 'secretSettings'])

function visit(section: YAMLMap, prefix: string, found: Value[]): void {
  for (const [index, pair] of section.items.entries()) {
    if (!isScalar(pair.key)) throw new Error('a key of values.yaml is no text')
    const path = `${prefix}${String(pair.key.value)}`
    // The parser gives the first comment of a section to the section.
    const comment = pair.key.commentBefore ?? (index === 0 ? section.commentBefore : null) ?? ''
    if (isMap(pair.value) && types[path] === undefined && !generated.has(path)) {
      if (pair.value.items.length === 0) throw new Error(`${path} has no type`)
      visit(pair.value, `${path}.`, found)
      continue
    }
    if (types[path] === undefined && !generated.has(path)) throw new Error(`${path} has no type`)
    const value: unknown = isMap(pair.value) || pair.value !== null ? toValue(pair.value) : null
    found.push({ path, default: value, comment: lastParagraph(comment) })
  }
}

function lastParagraph(comment: string): string {
  return comment.split('\n\n').at(-1)?.replace(/\n/g, ' ').trim() ?? ''
}

function toValue(node: unknown): unknown {
  return typeof node === 'object' && node !== null && 'toJSON' in node ? (node as YAMLMap).toJSON() : node // A node has toJSON.
}

/** The JSON Schema of the chart's values, from the comments and types here and from the schema of the server's settings. */
export async function valuesSchema(): Promise<Schema> {
  const settings = configJsonSchema()
  const root: Mutable = { properties: {} }
  for (const { path, comment } of await readValues()) {
    const schema = path === 'config' ? chartConfig(settings) : path === 'secretSettings' ? secretSettings(settings) : types[path] // prettier-ignore
    place(root, path.split('.'), { ...schema, ...(comment === '' ? {} : { description: comment }) })
  }
  // Helm itself adds this one; charts that include this one add its name.
  const properties = { ...root.properties, global: map }
  const { $defs } = settings as { readonly $defs?: unknown }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...sectionOf(properties),
    required: ['serverName'],
    // Where the settings' own references lead.
    ...($defs === undefined ? {} : { $defs }),
  }
}

interface Mutable {
  properties: Record<string, unknown>
}

const sectionOf = (properties: Readonly<Record<string, unknown>>): Schema => ({ type: 'object', additionalProperties: false, properties }) // prettier-ignore

function place(root: Mutable, path: readonly string[], schema: Schema): void {
  const [first = '', ...rest] = path
  if (rest.length === 0) {
    root.properties[first] = schema
    return
  }
  root.properties[first] ??= sectionOf({})
  place(root.properties[first] as Mutable, rest, schema) // Made above.
}

/** The settings file without what the chart decides and without secrets, which would stand in a ConfigMap for all to read. */
function chartConfig(settings: JsonSchema): Schema {
  return (without(settings, '') ?? {}) as Schema
}

function without(schema: JsonSchema, path: string): unknown {
  if (ownSettings.has(path) || isSecret(schema)) return null
  const copy = Object.fromEntries(Object.entries(schema).filter(([key]) => !['$schema', '$defs', 'default'].includes(key)))
  const properties = schema.properties
  if (properties !== undefined) {
    const kept = Object.entries(properties).flatMap(([key, child]) => {
      const left = without(child, path === '' ? key : `${path}.${key}`)
      return left === null ? [] : [[key, left] as const]
    })
    copy['properties'] = Object.fromEntries(kept)
    // A section whose secret is required gets it from the environment.
    const required = ((copy['required'] ?? []) as string[]).filter(key => kept.some(([name]) => name === key)) // A list of names.
    if (required.length > 0) copy['required'] = required
    else delete copy['required']
  }
  if (schema.anyOf !== undefined) copy['anyOf'] = schema.anyOf.map(variant => without(variant, path) ?? {})
  return copy
}

function isSecret(schema: JsonSchema): boolean {
  return schema.writeOnly === true || (schema.anyOf ?? []).some(variant => variant.writeOnly === true)
}

/** Every setting may come from a Secret, but for those that the chart decides. */
function secretSettings(settings: JsonSchema): Schema {
  const reference = {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'key'],
    properties: { name: { ...name, minLength: 1 }, key: { ...secretKey, minLength: 1 } },
  }
  const paths = leaves(settings, '')
  return sectionOf(Object.fromEntries(paths.map(path => [path, reference])))
}

function leaves(schema: JsonSchema, path: string): readonly string[] {
  if (ownSettings.has(path)) return []
  const keys = keysOf(schema)
  if (keys.length === 0) return [path]
  return keys.flatMap(key => {
    const child = childSchema(schema, key)
    return child === null ? [] : leaves(child, path === '' ? key : `${path}.${key}`)
  })
}

/** The table of README.md: a row for each value. */
export async function valuesTable(): Promise<string> {
  const rows = (await readValues()).map(({ path, default: value, comment }) => {
    const shown = value === '' ? '' : `\`${JSON.stringify(value)}\``
    return `| \`${path}\` | ${shown} | ${comment.replaceAll('|', '\\|')} |`
  })
  return ['| value | default | |', '|---|---|---|', ...rows].join('\n')
}
