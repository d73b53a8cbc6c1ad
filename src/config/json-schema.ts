import { z } from 'zod'
import { settings } from './schema.ts'

/** The part of JSON Schema that zod makes of our settings. */
export interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly format?: string
  readonly writeOnly?: boolean
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly anyOf?: readonly JsonSchema[]
}

/** The settings as a JSON Schema (draft 2020-12) of the YAML file: for editors, the reference and the Helm chart. Secrets are
 *  marked `writeOnly`. */
export function configJsonSchema(): JsonSchema {
  return z.toJSONSchema(settings, { io: 'input' }) as JsonSchema // What we read of it is checked as it is read.
}

/** The schema under a key; looks through what may also be null. Null when there is no such key. */
export function childSchema(schema: JsonSchema, key: string): JsonSchema | null {
  for (const variant of [schema, ...(schema.anyOf ?? [])]) {
    const child =
      variant.properties !== undefined && Object.hasOwn(variant.properties, key) ? variant.properties[key] : undefined
    if (child !== undefined) return child
    if (typeof variant.additionalProperties === 'object') return variant.additionalProperties
  }
  return null
}

/** The JSON types that a value may have. */
export function typesOf(schema: JsonSchema): ReadonlySet<string> {
  return new Set([schema, ...(schema.anyOf ?? [])].flatMap(variant => variant.type ?? []))
}

/** The known keys of a section; empty for a leaf. */
export function keysOf(schema: JsonSchema): readonly string[] {
  return [schema, ...(schema.anyOf ?? [])].flatMap(variant => Object.keys(variant.properties ?? {}))
}

/** Every leaf's path: `['database', 'url']`. */
export function leafPaths(schema: JsonSchema, path: readonly string[] = []): readonly (readonly string[])[] {
  const keys = keysOf(schema)
  if (keys.length === 0) return [path]
  return keys.flatMap(key => {
    const child = childSchema(schema, key)
    return child === null ? [] : leafPaths(child, [...path, key])
  })
}
