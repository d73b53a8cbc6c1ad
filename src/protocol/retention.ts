import { type Event } from './event.ts'
import { type JsonObject } from './json.ts'

/** How long messages live, in milliseconds; `null`: no such bound. */
export interface Lifetime {
  readonly maxLifetime: number | null
  readonly minLifetime: number | null
}

interface Bounds {
  readonly min: number | null
  readonly max: number | null
}

/** The operator's say: a policy for rooms without one, bounds for rooms that have one, and policies over whatever a room says. */
export interface RetentionSettings {
  readonly default: Lifetime
  readonly limits: { readonly maxLifetime: Bounds; readonly minLifetime: Bounds }
  readonly rooms: Readonly<Record<string, Lifetime>>
}

/** The keys of an event's content that say when it is to be gone, in milliseconds since the epoch. They stand outside what is
 *  encrypted. https://github.com/matrix-org/matrix-spec-proposals/pull/2228 and its unstable name. */
const selfDestructKeys = ['m.self_destruct_after', 'org.matrix.self_destruct_after'] as const

/** The state event types that set a room's policy, the first that is valid counts. MSC1763 and its unstable name. */
export const retentionStateTypes = ['m.room.retention', 'org.matrix.msc1763.retention'] as const

const none: Lifetime = { maxLifetime: null, minLifetime: null }

/**
 * The policy that is in force in a room: the operator's for this room (that of the settings before `override`, which an
 * administrator set), else the room's own within the operator's limits, else the operator's default. `stateOf` gives the
 * content of a state event of the room with an empty state key.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/1763
 */
export function effectivePolicy(
  settings: RetentionSettings,
  roomId: string,
  stateOf: (type: string) => JsonObject | null,
  override: Lifetime | null = null,
): Lifetime {
  const fixed = Object.hasOwn(settings.rooms, roomId) ? settings.rooms[roomId] : override
  if (fixed) return fixed
  for (const type of retentionStateTypes) {
    const own = readPolicy(stateOf(type))
    if (own) {
      return {
        maxLifetime: clamp(own.maxLifetime ?? settings.default.maxLifetime, settings.limits.maxLifetime),
        minLifetime: clamp(own.minLifetime ?? settings.default.minLifetime, settings.limits.minLifetime),
      }
    }
  }
  return settings.default
}

/** What a room says; `null` if it says nothing, or nothing that can be understood. */
function readPolicy(content: JsonObject | null): Lifetime | null {
  if (!content) return null
  const maxLifetime = content['max_lifetime'] ?? null
  const minLifetime = content['min_lifetime'] ?? null
  if (!isLifetime(maxLifetime) || !isLifetime(minLifetime)) return null
  if (maxLifetime === null && minLifetime === null) return none
  if (maxLifetime !== null && minLifetime !== null && maxLifetime < minLifetime) return null
  return { maxLifetime, minLifetime }
}

/**
 * What is wrong with a policy that a user would set; `null` if it is one. Less than the operator's shortest lifetime is wrong
 * here, although it would do no harm: the room would not get what its members were promised.
 */
export function policyProblem(content: JsonObject, settings: RetentionSettings): string | null {
  for (const key of ['max_lifetime', 'min_lifetime']) {
    if (!isLifetime(content[key] ?? null)) return `${key} must be a positive number of milliseconds, or null`
  }
  const policy = readPolicy(content)
  if (!policy) return 'max_lifetime must not be less than min_lifetime'
  const floor = settings.limits.maxLifetime.min ?? 0
  return policy.maxLifetime !== null && policy.maxLifetime < floor ? `max_lifetime must be ${floor} or more` : null
}

/** Whether a value is a lifetime in milliseconds, or `null` for none. Zero is refused: clients read it as "no policy". */
export function isLifetime(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isSafeInteger(value) && value > 0)
}

function clamp(value: number | null, bounds: Bounds): number | null {
  if (value === null) return null
  return Math.min(Math.max(value, bounds.min ?? value), bounds.max ?? Infinity)
}

/** When the sender wants the event to be gone; `null` where nothing is said, or nothing that is a time. State stays. */
export function selfDestructTs(event: Pick<Event, 'stateKey' | 'content'>): number | null {
  if (event.stateKey !== null) return null
  const times = selfDestructKeys.map(key => event.content[key]).filter(isTime)
  return times.length === 0 ? null : Math.min(...times)
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}

/** What the end of an event depends on. */
export interface Mortal {
  readonly event: Pick<Event, 'stateKey'>
  /** Milliseconds since the epoch: the earlier of the sender's clock and ours when it came. */
  readonly ageTs: number
  /** `selfDestructTs` of the event as it was sent; it is still known when the event has been pruned. */
  readonly selfDestructTs: number | null
}

/**
 * The last millisecond (since the epoch) at which an event may be read; `null` for one without an end, as all state is.
 * `ageTs` is the earlier of the sender's clock and ours when it came.
 */
export function expiryOf(event: Pick<Event, 'stateKey' | 'content'>, ageTs: number, policy: Lifetime): number | null {
  return endOf({ event, ageTs, selfDestructTs: selfDestructTs(event) }, policy)
}

/** The same of an event as it is stored, which may have been pruned. */
function endOf({ event, ageTs, selfDestructTs: chosen }: Mortal, policy: Lifetime): number | null {
  if (event.stateKey !== null) return null
  const byPolicy = policy.maxLifetime === null ? null : ageTs + policy.maxLifetime
  if (byPolicy === null || chosen === null) return byPolicy ?? chosen
  return Math.min(byPolicy, chosen)
}

/** True if an event has come to its end by now: from this moment on it is gone from every read path. */
export function isExpired(mortal: Mortal, policy: Lifetime, nowMs: number): boolean {
  const end = endOf(mortal, policy)
  return end !== null && nowMs > end
}

/**
 * True if a state event has outlived the policy. It is kept for as long as the room, but once another one has taken its place
 * no more of it than the room's rules need.
 */
export function isStale({ event, ageTs }: Omit<Mortal, 'selfDestructTs'>, policy: Lifetime, nowMs: number): boolean {
  return event.stateKey !== null && policy.maxLifetime !== null && nowMs > ageTs + policy.maxLifetime
}
