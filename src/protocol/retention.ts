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

/** The state event types that set a room's policy, the first that is valid counts. MSC1763 and its unstable name. */
export const retentionStateTypes = ['m.room.retention', 'org.matrix.msc1763.retention'] as const

const none: Lifetime = { maxLifetime: null, minLifetime: null }

/**
 * The policy that is in force in a room: the operator's for this room, else the room's own within the operator's limits,
 * else the operator's default. `stateOf` gives the content of a state event of the room with an empty state key.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/1763
 */
export function effectivePolicy(
  settings: RetentionSettings,
  roomId: string,
  stateOf: (type: string) => JsonObject | null,
): Lifetime {
  const override = Object.hasOwn(settings.rooms, roomId) ? settings.rooms[roomId] : undefined
  if (override) return override
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

/** Zero is refused: clients read it as "no policy". */
function isLifetime(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isSafeInteger(value) && value > 0)
}

function clamp(value: number | null, bounds: Bounds): number | null {
  if (value === null) return null
  return Math.min(Math.max(value, bounds.min ?? value), bounds.max ?? Infinity)
}

/**
 * True if an event has outlived its policy: from this moment on it is gone from every read path. State events do not
 * expire. `ageTs` is the earlier of the sender's clock and ours when it came; `nowMs` is ours now.
 */
export function isExpired(event: Pick<Event, 'stateKey'>, ageTs: number, policy: Lifetime, nowMs: number): boolean {
  return policy.maxLifetime !== null && event.stateKey === null && nowMs - ageTs > policy.maxLifetime
}
