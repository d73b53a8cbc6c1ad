import { type z } from 'zod'
import { childSchema, keysOf, type JsonSchema } from './json-schema.ts'

/** One thing that is wrong with the settings, in words for the operator. */
export interface Problem {
  /** The setting (`listen.port`), or the variable or file when no setting is meant. */
  readonly key: string
  /** What is wrong, to be read after the key: `must be true or false`. Never quotes the value, which may be a secret. */
  readonly message: string
  /** What to do, or what the setting is for. */
  readonly hint: string
}

/** Turns zod's issues into problems, each with its key and a hint. */
export function problemsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: JsonSchema,
  origins: ReadonlyMap<string, string>,
): readonly Problem[] {
  return issues.flatMap(issue => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys') {
      const known = keysOf(schemaAt(schema, path) ?? {})
      return issue.keys.map(key => ({
        key: [...path, key].join('.'),
        message: 'is no setting of Lethe',
        hint: didYouMean(key, known),
      }))
    }
    const key = path.join('.')
    return [{ key, message: messageOf(issue), hint: hintOf(schema, path, originOf(path, origins)) }]
  })
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section of keys and values',
  record: 'a section of keys and values',
}

function messageOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && issue.message.endsWith('received undefined')) return 'is missing'
      return /^must /.test(issue.message) ? issue.message : `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty'
      if (issue.origin === 'array') return `must have at least ${issue.minimum} entry`
      return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
    case 'too_big':
      return `must be at most ${issue.maximum}`
    case 'invalid_key':
      return `has a key that ${issue.issues[0]?.message ?? 'is not valid'}`
    case 'invalid_format':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_element':
    case 'custom':
      return issue.message
  }
}

function schemaAt(schema: JsonSchema, path: readonly string[]): JsonSchema | null {
  let place: JsonSchema | null = schema
  for (const key of path) place = place === null ? null : childSchema(place, key)
  return place
}

/** The variable that set the key, or a section or list that it is in. */
function originOf(path: readonly string[], origins: ReadonlyMap<string, string>): string | null {
  for (let length = path.length; length > 0; length -= 1) {
    const variable = origins.get(path.slice(0, length).join('.'))
    if (variable !== undefined) return variable
  }
  return null
}

function hintOf(schema: JsonSchema, path: readonly string[], variable: string | null): string {
  const place = schemaAt(schema, path) ?? {}
  // An entry of a list is explained by the list, a section by its keys.
  const keys = keysOf(place)
  const description =
    place.description ??
    schemaAt(schema, path.slice(0, -1))?.description ??
    (keys.length > 0 ? `Its keys are ${keys.join(', ')}.` : '')
  const origin = variable === null ? '' : `Set by ${variable}.`
  return [description, origin].filter(text => text !== '').join(' ')
}

/** `Did you mean …?` when a known name is close; else the names that there are. */
export function didYouMean(name: string, known: readonly string[]): string {
  const ranked = known
    .map(candidate => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  if (best === undefined) return 'No keys are known here.'
  if (best.distance <= Math.max(2, name.length / 3)) return `Did you mean ${best.candidate}?`
  return known.length <= 12 ? `Known here: ${known.join(', ')}.` : 'See the configuration reference.'
}

/** How many letters must be added, dropped or changed to make one text of the other. Names are short: the full table will do. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [row, letter] of [...from].entries()) {
    const current = [row + 1]
    for (const [column, other] of [...to].entries()) {
      const replaced = (previous[column] ?? 0) + (letter === other ? 0 : 1)
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1))
    }
    previous = current
  }
  return previous.at(-1) ?? 0
}
