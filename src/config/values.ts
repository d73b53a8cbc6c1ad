import { z } from 'zod'

/** `server_name` → `serverName`, in types. */
export type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name

/** `server_name` → `serverName`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase())
}

/** `perSecond` → `per_second`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}

/** A section as the program sees it: the same keys in camelCase. */
type Camel<Section> = { readonly [Key in keyof Section as Key extends string ? CamelCase<Key> : never]: Section[Key] }

/** A check between the keys of one section, any of which may be missing or wrong by itself: the sentence that says what is wrong and the key to blame, or null. */
export type SectionCheck<Shape extends z.core.$ZodShape> = (
  values: Partial<z.output<z.ZodObject<Shape>>>,
) => { readonly key: string; readonly message: string } | null

/** Problems between keys are reported together with those of single keys. */
const EVEN_IF_A_KEY_IS_WRONG = {
  when: ({ value }: { readonly value: unknown }) => typeof value === 'object' && value !== null,
}

/** A section of the settings: keys in snake_case in the file, in camelCase in the program; unknown keys are refused. */
export function section<Shape extends z.core.$ZodShape>(
  shape: Shape,
  check: SectionCheck<Shape> = () => null,
): z.ZodPipe<z.ZodObject<Shape, z.core.$strict>, z.ZodTransform<Camel<z.output<z.ZodObject<Shape>>>>> {
  const object = z.strictObject(shape).superRefine((values, context) => {
    const complaint = check(values)
    if (complaint !== null) context.addIssue({ code: 'custom', path: [complaint.key], message: complaint.message })
  }, EVEN_IF_A_KEY_IS_WRONG)
  return object.transform(values => {
    const entries = Object.entries(values).map(([key, value]) => [camelCase(key), value])
    // Exactly what the type says: the keys renamed, the values as they were.
    return Object.fromEntries(entries) as Camel<z.output<z.ZodObject<Shape>>>
  })
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
}

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_024 ** 2, g: 1_024 ** 3 }

/** Milliseconds in a text such as `30d`, `1h` or `250` (milliseconds); null when it is none. A year has 365 days. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|[smhdwy])?$/.exec(text.trim())
  const unit = DURATION_UNITS_MS[match?.[2] ?? 'ms']
  if (match === null || unit === undefined) return null
  const value = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(value) ? value : null
}

/** Bytes in a text such as `50M`, `512KiB` or `1048576`; null when it is none. Units are powers of 1,024. */
export function parseSize(text: string): number | null {
  const match = /^(\d+)\s*([kmg]?)(?:i?b)?$/i.exec(text.trim())
  const unit = SIZE_UNITS_BYTES[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) return null
  const value = Number(match[1]) * unit
  return Number.isSafeInteger(value) ? value : null
}

function quantity(
  parse: (text: string) => number | null,
  minimum: number,
  message: string,
): z.ZodPipe<z.ZodUnion<readonly [z.ZodNumber, z.ZodString]>, z.ZodTransform<number, number | string>> {
  return z.union([z.number(), z.string()], { error: message }).transform((value, context) => {
    const parsed = typeof value === 'number' ? parse(String(value)) : parse(value)
    if (parsed !== null && parsed >= minimum) return parsed
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

/** A duration: a whole number of milliseconds, or a text with a unit. Comes out in milliseconds. */
export function duration(minimumMs = 0): ReturnType<typeof quantity> {
  const floor = minimumMs === 0 ? '' : `, at least ${minimumMs} ms`
  return quantity(parseDuration, minimumMs, `must be a duration such as "30d", "1h", "90s" or milliseconds${floor}`)
}

/** A size in bytes: a whole number, or a text with K, M or G. */
export function size(): ReturnType<typeof quantity> {
  return quantity(parseSize, 1, 'must be a size such as "50M" or a number of bytes')
}

/** A port; 0 lets the system choose a free one. */
export const port = z.int({ error: 'must be a port, 0 to 65535' }).min(0).max(65_535)

/** A text that a dump of the settings must not show. */
export function secret(): z.ZodString {
  return z.string().min(1, 'must not be empty').meta({ writeOnly: true })
}

/** `http://` or `https://`, without a query, a fragment or a final slash (one is removed). */
export const webUrl = z
  .string()
  .transform(text => text.replace(/\/+$/, ''))
  .refine(text => {
    if (!URL.canParse(text)) return false
    const { protocol, search, hash, username, password } = new URL(text)
    return /^https?:$/.test(protocol) && search + hash + username + password === ''
  }, 'must be a URL such as https://matrix.example.org')
