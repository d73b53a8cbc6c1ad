/** What a tool expects of a value: a type's name, with `?` where it may be absent or `null`; a list's item; fields; or fields of any name. */
export type Shape = string | readonly [Shape] | { readonly [field: string]: Shape }

/** In place of a field's name: every field. */
export const every = '*'

/** Where a value is not as expected, in words; empty where it is. */
export function shapeProblems(value: unknown, shape: Shape, where = 'the answer'): string[] {
  if (typeof shape === 'string') {
    const type = shape.replace(/\?$/, '')
    if (shape.endsWith('?') && (value === undefined || value === null)) return []
    return typeof value === type && value !== null ? [] : [`${where} is ${JSON.stringify(value)} and no ${type}`]
  }
  if (isList(shape)) {
    if (!Array.isArray(value)) return [`${where} is no list`]
    return value.flatMap((item, index) => shapeProblems(item, shape[0], `${where}[${index}]`))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${where} is no object`]
  // An object of JSON.
  const fields = value as Readonly<Record<string, unknown>>
  return Object.entries(shape).flatMap(([name, item]) =>
    name === every
      ? Object.entries(fields).flatMap(([key, each]) => shapeProblems(each, item, `${where}.${key}`))
      : shapeProblems(fields[name], item, `${where}.${name}`),
  )
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape)
}
