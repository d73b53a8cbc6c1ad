import { type PathRange } from './key-tree.ts'

/** How many paths are gathered before they are put in order. */
const gatheredLimit = 1_000_000

/**
 * Any number of paths, kept as ranges: leaves are handed out in a row, so what a database of many millions of values refers to
 * is far fewer ranges than values.
 */
export class PathSet {
  readonly #gathered: BigUint64Array
  #count = 0
  #ranges: PathRange[] = []

  constructor(limit = gatheredLimit) {
    this.#gathered = new BigUint64Array(limit)
  }

  add(path: bigint): void {
    if (this.#count === this.#gathered.length) this.#settle()
    this.#gathered[this.#count++] = path
  }

  addRange(range: PathRange): void {
    this.#ranges = merged(this.#ranges, [range])
  }

  /** All that was added, in order; no two ranges touch. */
  ranges(): readonly PathRange[] {
    this.#settle()
    return this.#ranges
  }

  #settle(): void {
    const found: { from: bigint; through: bigint }[] = []
    for (const path of this.#gathered.subarray(0, this.#count).sort()) {
      const last = found.at(-1)
      if (last && path <= last.through + 1n) last.through = path
      else found.push({ from: path, through: path })
    }
    this.#ranges = merged(this.#ranges, found)
    this.#count = 0
  }
}

/** Two lists of ranges as one; each is in order, and so is what comes of them. */
function merged(ones: readonly PathRange[], others: readonly PathRange[]): PathRange[] {
  const found: { from: bigint; through: bigint }[] = []
  let [one, other] = [0, 0]
  for (;;) {
    const [first, second] = [ones[one], others[other]]
    const next = first && (!second || first.from <= second.from) ? first : second
    if (!next) return found
    if (next === first) one++
    else other++
    const last = found.at(-1)
    if (!last || next.from > last.through + 1n) found.push({ ...next })
    else if (next.through > last.through) last.through = next.through
  }
}
