import { type Clock } from './clock.ts'

/**
 * Named classes of rate limits: how many requests a second in the long run, and how many at once. The defaults suit a small
 * server; each can be set in the configuration under `rate_limits.<name>`.
 */
export const defaultLimits = {
  /** Sending events, by user. */
  message: { perSecond: 1, burst: 20 },
  /** By address. */
  registration: { perSecond: 0.01, burst: 3 },
  registrationTokenCheck: { perSecond: 0.1, burst: 5 },
  login: { perSecond: 0.05, burst: 5 },
  /** Failed passwords, by account. */
  loginFailure: { perSecond: 0.003, burst: 5 },
  join: { perSecond: 0.1, burst: 10 },
  joinRemote: { perSecond: 0.01, burst: 10 },
  joinRoom: { perSecond: 1, burst: 10 },
  inviteRoom: { perSecond: 0.3, burst: 10 },
  inviteUser: { perSecond: 0.003, burst: 5 },
  inviteIssuer: { perSecond: 0.3, burst: 10 },
  mediaCreate: { perSecond: 1, burst: 20 },
  presence: { perSecond: 0.1, burst: 1 },
  report: { perSecond: 1, burst: 5 },
  createRoom: { perSecond: 0.016, burst: 10 },
  userDirectory: { perSecond: 0.016, burst: 200 },
  keys: { perSecond: 20, burst: 100 },
  /** Reads that cost much: search, context, relations, hierarchy. */
  heavy: { perSecond: 1, burst: 10 },
  /** Everything else with a token, by user. */
  light: { perSecond: 20, burst: 100 },
  /** Everything else without a token, by address. */
  anonymous: { perSecond: 2, burst: 20 },
} as const

export type LimitClass = keyof typeof defaultLimits

export interface LimitRate {
  /** Requests a second in the long run. */
  readonly perSecond: number
  /** Requests at once. */
  readonly burst: number
}

/** Token buckets by class and key, in memory. */
export interface Limiter {
  /**
   * Takes one token from the bucket. Returns 0 when there was one, else the milliseconds after which to try again; then
   * nothing was taken.
   */
  take(limitClass: LimitClass, key: string): number
  /** Like `take`, but takes nothing. */
  peek(limitClass: LimitClass, key: string): number
}

/** How many buckets are remembered; when there are more, the fullest are forgotten first, which favours nobody. */
const bucketLimit = 100_000

/** A limiter over the given rates; with `enabled: false` it never refuses. */
export function createLimiter(clock: Clock, rates: Readonly<Record<LimitClass, LimitRate>>, enabled: boolean): Limiter {
  const buckets = new Map<string, { tokens: number; atMs: number }>()

  const refill = (rate: LimitRate, bucket: { tokens: number; atMs: number }, nowMs: number) => {
    const elapsedMs = Math.max(0, nowMs - bucket.atMs)
    bucket.tokens = Math.min(rate.burst, bucket.tokens + (elapsedMs / 1000) * rate.perSecond)
    bucket.atMs = nowMs
  }

  const evict = () => {
    const byFullness = [...buckets].sort(([, a], [, b]) => b.tokens - a.tokens)
    for (const [key] of byFullness.slice(0, bucketLimit / 4)) buckets.delete(key)
  }

  const use = (limitClass: LimitClass, key: string, amount: 0 | 1): number => {
    if (!enabled) return 0
    const rate = rates[limitClass]
    const name = `${limitClass} ${key}`
    const nowMs = clock.now()
    let bucket = buckets.get(name)
    if (!bucket) {
      if (buckets.size >= bucketLimit) evict()
      buckets.set(name, (bucket = { tokens: rate.burst, atMs: nowMs }))
    }
    refill(rate, bucket, nowMs)
    if (bucket.tokens < 1) return Math.max(1, Math.ceil(((1 - bucket.tokens) / rate.perSecond) * 1000))
    bucket.tokens -= amount
    return 0
  }

  return {
    take: (limitClass, key) => use(limitClass, key, 1),
    peek: (limitClass, key) => use(limitClass, key, 0),
  }
}
