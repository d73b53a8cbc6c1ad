/**
 * A map from (event type, state key) to anything: the shape of a room's state.
 * Two levels of `Map`, so that no separator inside a type or a state key can make two pairs collide.
 */
export interface ReadonlyStateMap<T> extends Iterable<[type: string, stateKey: string, value: T]> {
  get(type: string, stateKey: string): T | undefined
  has(type: string, stateKey: string): boolean
  /** All values of one event type, by state key. */
  ofType(type: string): ReadonlyMap<string, T>
  values(): IterableIterator<T>
  readonly size: number
}

const none: ReadonlyMap<string, never> = new Map<string, never>()

export class StateMap<T> implements ReadonlyStateMap<T> {
  #types = new Map<string, Map<string, T>>()
  #size = 0

  constructor(entries?: Iterable<[type: string, stateKey: string, value: T]>) {
    if (entries) for (const [type, stateKey, value] of entries) this.set(type, stateKey, value)
  }

  get size(): number {
    return this.#size
  }

  get(type: string, stateKey: string): T | undefined {
    return this.#types.get(type)?.get(stateKey)
  }

  has(type: string, stateKey: string): boolean {
    return this.#types.get(type)?.has(stateKey) ?? false
  }

  ofType(type: string): ReadonlyMap<string, T> {
    return this.#types.get(type) ?? none
  }

  set(type: string, stateKey: string, value: T): this {
    let keys = this.#types.get(type)
    if (!keys) this.#types.set(type, (keys = new Map()))
    if (!keys.has(stateKey)) this.#size++
    keys.set(stateKey, value)
    return this
  }

  delete(type: string, stateKey: string): boolean {
    const deleted = this.#types.get(type)?.delete(stateKey) ?? false
    if (deleted) this.#size--
    return deleted
  }

  *[Symbol.iterator](): IterableIterator<[string, string, T]> {
    for (const [type, keys] of this.#types) for (const [stateKey, value] of keys) yield [type, stateKey, value]
  }

  *values(): IterableIterator<T> {
    for (const keys of this.#types.values()) yield* keys.values()
  }
}
