/** The two halves of a request's target, still percent-encoded. `query` is without the `?`. */
export interface Target {
  readonly path: string
  readonly query: string
}

/** Splits what stood in the request line. An absolute form (`GET http://host/path`, RFC 9112 3.2.2) loses its origin. */
export function splitTarget(requestTarget: string): Target {
  const origin = /^https?:\/\/[^/?]*/i.exec(requestTarget)
  const relative = origin ? requestTarget.slice(origin[0].length) : requestTarget
  const mark = relative.indexOf('?')
  if (mark < 0) return { path: relative, query: '' }
  return { path: relative.slice(0, mark), query: relative.slice(mark + 1) }
}

/** Percent-decodes once; `null` when the encoding or the UTF-8 inside it is broken. */
export function percentDecode(text: string): string | null {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // `decodeURIComponent` throws nothing but URIError.
    return null
  }
}

/** A request may not have more query parameters than this; more are treated as a malformed query. */
export const queryParameterLimit = 200

export interface Query {
  readonly values: ReadonlyMap<string, readonly string[]>
  /** True when a part could not be decoded and was left out. The token is looked for all the same: 401 goes before 400. */
  readonly isMalformed: boolean
}

const emptyQuery: Query = { values: new Map(), isMalformed: false }

/** Reads a query as forms write it: `+` is a space, names may come more than once. */
export function parseQuery(query: string): Query {
  if (query === '') return emptyQuery
  const values = new Map<string, string[]>()
  const parts = query.split('&', queryParameterLimit + 1)
  let isMalformed = parts.length > queryParameterLimit
  for (const part of parts) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = percentDecode((equals < 0 ? part : part.slice(0, equals)).replaceAll('+', ' '))
    const value = percentDecode(equals < 0 ? '' : part.slice(equals + 1).replaceAll('+', ' '))
    if (name === null || value === null) {
      isMalformed = true
      continue
    }
    const known = values.get(name)
    if (known) known.push(value)
    else values.set(name, [value])
  }
  return { values, isMalformed }
}
