import { percentDecode } from './target.ts'

/** What a path was recognised as. */
export type Match<T> =
  /** `params` is `null` when a parameter is badly percent-encoded. */
  | { readonly kind: 'found'; readonly value: T; readonly params: Readonly<Record<string, string>> | null }
  /** The path is known, but not with this method; `methods` are those that it has. */
  | { readonly kind: 'wrong_method'; readonly methods: readonly string[] }
  | { readonly kind: 'unknown' }

interface Leaf<T> {
  readonly names: readonly string[]
  readonly value: T
}

interface Branch<T> {
  readonly literals: Map<string, Branch<T>>
  parameter: Branch<T> | null
  readonly leaves: Map<string, Leaf<T>>
}

const newBranch = <T>(): Branch<T> => ({ literals: new Map(), parameter: null, leaves: new Map() })

/**
 * Finds what is declared for a method and a path, by segments: a literal goes before a parameter, a parameter takes one
 * segment that is not empty, case and trailing slashes matter. It stands in front of Express, whose router walks its list
 * of routes for every request, and is built from the same declarations.
 */
export class PathTrie<T> {
  readonly #root: Branch<T> = newBranch()

  /** Throws when the method and path are declared already. */
  add(method: string, path: string, value: T): void {
    const names: string[] = []
    let branch = this.#root
    for (const segment of path.split('/').slice(1)) {
      if (segment.startsWith(':')) {
        names.push(segment.slice(1))
        branch = branch.parameter ??= newBranch()
      } else {
        const next: Branch<T> = branch.literals.get(segment) ?? newBranch()
        branch.literals.set(segment, next)
        branch = next
      }
    }
    if (branch.leaves.has(method)) throw new Error(`${method} ${path} is declared twice`)
    branch.leaves.set(method, { names, value })
  }

  /** `path` as it arrived, percent-encoded, without the query. */
  match(method: string, path: string): Match<T> {
    if (path[0] !== '/') return { kind: 'unknown' }
    const segments = path.split('/')
    const taken: string[] = []
    const methods = new Set<string>()
    const leaf = find(this.#root, method, segments, 1, taken, methods)
    if (leaf) return { kind: 'found', value: leaf.value, params: decode(leaf.names, taken) }
    return methods.size > 0 ? { kind: 'wrong_method', methods: [...methods] } : { kind: 'unknown' }
  }
}

function find<T>(
  branch: Branch<T>,
  method: string,
  segments: readonly string[],
  at: number,
  taken: string[],
  methods: Set<string>,
): Leaf<T> | null {
  const segment = segments[at]
  if (segment === undefined) {
    const leaf = branch.leaves.get(method)
    if (leaf) return leaf
    for (const known of branch.leaves.keys()) methods.add(known)
    return null
  }
  const literal = branch.literals.get(segment)
  if (literal) {
    const leaf = find(literal, method, segments, at + 1, taken, methods)
    if (leaf) return leaf
  }
  if (!branch.parameter || segment === '') return null
  taken.push(segment)
  const leaf = find(branch.parameter, method, segments, at + 1, taken, methods)
  if (!leaf) taken.pop()
  return leaf
}

function decode(names: readonly string[], taken: readonly string[]): Readonly<Record<string, string>> | null {
  const params: Record<string, string> = {}
  for (const [index, name] of names.entries()) {
    const value = percentDecode(taken[index] ?? '')
    if (value === null) return null
    params[name] = value
  }
  return params
}
