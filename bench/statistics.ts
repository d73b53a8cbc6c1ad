/**
 * The nearest-rank percentile: the smallest sample such that at least `percent` % of all samples are no larger.
 * `percent` is in (0, 100]. Returns `null` for no samples. `sorted` must ascend. Never interpolates, so every figure
 * that is reported was really seen.
 */
export function percentile(sorted: readonly number[], percent: number): number | null {
  if (!(percent > 0 && percent <= 100)) throw new RangeError('percent must be above 0 and at most 100')
  const rank = Math.ceil((percent / 100) * sorted.length)
  return sorted[rank - 1] ?? null
}

/** The middle of the given numbers (the mean of the two middle ones when their count is even); `null` of none. */
export function median(values: readonly number[]): number | null {
  const sorted = ascending(values)
  const upper = sorted[sorted.length >> 1]
  if (upper === undefined) return null
  if (sorted.length % 2 === 1) return upper
  const lower = sorted[(sorted.length >> 1) - 1]
  return lower === undefined ? upper : (lower + upper) / 2
}

/** The median of those values that are known; `null` if none is. */
export function medianOfKnown(values: readonly (number | null)[]): number | null {
  return median(values.filter(value => value !== null))
}

/** A copy in ascending numeric order. */
export function ascending(values: readonly number[]): number[] {
  return [...values].sort((left, right) => left - right)
}
