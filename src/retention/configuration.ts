import { type Context } from '../context.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { effectivePolicy, type Lifetime, retentionStateTypes, type RetentionSettings } from '../protocol/retention.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { retentionOverridesOf } from '../storage/retention-overrides.ts'
import { stateEventsOf } from '../storage/sweep.ts'

type Bounds = RetentionSettings['limits']['maxLifetime']

/** A number of milliseconds that no message reaches. A policy without a number makes clients drop the whole answer. */
const forEverMs = Number.MAX_SAFE_INTEGER

/** A room of a user, and the content of its state event of a type with an empty state key. */
export interface RoomState {
  readonly roomId: RoomId
  readonly stateOf: (type: string) => JsonObject | null
  /** The policy that an administrator set for the room. */
  readonly override?: Lifetime | null
}

/**
 * What `/retention/configuration` answers to a user: see `configurationFor`. Rooms that the user has not joined are not told of.
 */
export async function retentionConfiguration(ctx: Context, userNumber: number): Promise<JsonObject> {
  const settings = ctx.config.retention
  const rooms = await joinedRooms(ctx.db.kysely, userNumber)
  const numbers = rooms.map(room => room.roomNumber)
  const states = await stateEventsOf(ctx.db.kysely, ctx.numbers, numbers, retentionStateTypes)
  const overrides = await retentionOverridesOf(ctx.db.kysely, numbers)
  const told = rooms.filter(
    ({ roomId, roomNumber }) =>
      states.has(roomNumber) || overrides.has(roomNumber) || Object.hasOwn(settings.rooms, roomId),
  )
  return configurationFor(
    settings,
    told.map(({ roomId, roomNumber }) => ({
      roomId,
      override: overrides.get(roomNumber) ?? null,
      stateOf: type => states.get(roomNumber)?.find(({ event }) => event.type === type)?.event.content ?? null,
    })),
  )
}

/**
 * The operator's default under `*`, the limits, and by room ID the policies of those of the rooms in which a client would by
 * itself come to another lifetime than this server. https://github.com/matrix-org/matrix-spec-proposals/pull/1763
 */
export function configurationFor(settings: RetentionSettings, rooms: readonly RoomState[]): JsonObject {
  const policies: JsonObject = {}
  if (settings.default.maxLifetime !== null) policies['*'] = told(settings.default)
  for (const { roomId, stateOf, override = null } of rooms) {
    const policy = effectivePolicy(settings, roomId, stateOf, override)
    const isNamed = override !== null || Object.hasOwn(settings.rooms, roomId)
    if (isNamed || !clientsAgree(settings, stateOf, policy)) policies[roomId] = told(policy)
  }
  const limits: JsonObject = {}
  const { maxLifetime, minLifetime } = settings.limits
  if (isBounded(maxLifetime)) limits['max_lifetime'] = toldBounds(maxLifetime)
  if (isBounded(minLifetime)) limits['min_lifetime'] = toldBounds(minLifetime)
  return { policies, limits }
}

/**
 * Whether clients would come to the same lifetime by themselves. They take the room's state as it is, a missing number for
 * the lower limit where this server takes its default, and do not agree on which of the two types of events counts first.
 */
function clientsAgree(
  settings: RetentionSettings,
  stateOf: (type: string) => JsonObject | null,
  { maxLifetime }: Lifetime,
): boolean {
  const { min, max } = settings.limits.maxLifetime
  const contents = retentionStateTypes.map(stateOf).filter(content => content !== null)
  return contents.every(({ max_lifetime: own }) => {
    if (own === undefined || own === null || own === 0) return maxLifetime === min
    const isLifetime = typeof own === 'number' && Number.isSafeInteger(own) && own > 0
    return isLifetime && maxLifetime === Math.min(Math.max(own, min ?? 0), max ?? forEverMs)
  })
}

function told({ maxLifetime, minLifetime }: Lifetime): JsonObject {
  const max = maxLifetime ?? forEverMs
  // "max_lifetime" may not be less than "min_lifetime"; limits may have brought them out of order.
  return { max_lifetime: max, ...(minLifetime === null || minLifetime > max ? {} : { min_lifetime: minLifetime }) }
}

function isBounded({ min, max }: Bounds): boolean {
  return min !== null || max !== null
}

function toldBounds({ min, max }: Bounds): JsonObject {
  return { ...(min === null ? {} : { min }), ...(max === null ? {} : { max }) }
}
