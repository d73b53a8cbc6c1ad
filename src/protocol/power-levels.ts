import { type Event, type RoomState } from './event.ts'
import { parseUserId, type UserId } from './identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { rawNumberText } from './raw-number.ts'
import { type RoomVersion } from './room-versions.ts'

/** Who may do what in a room, with every default filled in. Levels are integers; `Infinity` is a creator's in version 12. */
export interface PowerLevels {
  readonly ban: number
  readonly kick: number
  readonly redact: number
  readonly invite: number
  readonly usersDefault: number
  readonly eventsDefault: number
  readonly stateDefault: number
  userLevel(userId: UserId): number
  /** The level that sending an event of this type takes. Memberships have levels of their own: `ban`, `kick`, `invite`. */
  requiredLevel(type: string, isState: boolean): number
  /** The level that a notification of this kind takes, e.g. `room` for `@room`: 50 unless the room says otherwise. */
  notificationLevel(kind: string): number
}

/** The level of a room's creator in versions 1 to 11, as long as the room has no power levels. */
const creatorLevelWithoutPowerLevels = 100
const notificationDefault = 50

/**
 * The power levels that a content of `m.room.power_levels` gives, or that hold without one (`null`). Unlike other
 * defaults, a creator's 100 ends where such an event exists, even an empty one. `create` is `null` only where it is not
 * known: then nobody counts as creator. A value that the version does not accept counts as absent.
 * https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
 */
export function powerLevels(content: JsonObject | null, version: RoomVersion, create: Event | null): PowerLevels {
  const creators: readonly string[] = create === null ? [] : roomCreators(create, version)
  const level = (key: string, absent: number): number =>
    (content === null ? null : parseLevel(own(content, key), version)) ?? absent
  const users = objectAt(content, 'users')
  const events = objectAt(content, 'events')
  const notifications = objectAt(content, 'notifications')
  const usersDefault = level('users_default', 0)
  const eventsDefault = level('events_default', 0)
  const stateDefault = level('state_default', 50)
  return {
    ban: level('ban', 50),
    kick: level('kick', 50),
    redact: level('redact', 50),
    invite: level('invite', 0),
    usersDefault,
    eventsDefault,
    stateDefault,
    userLevel(userId) {
      if (version.privilegedCreators && creators.includes(userId)) return Infinity
      if (content === null) return creators.includes(userId) ? creatorLevelWithoutPowerLevels : usersDefault
      return parseLevel(own(users, userId), version) ?? usersDefault
    },
    requiredLevel(type, isState) {
      return parseLevel(own(events, type), version) ?? (isState ? stateDefault : eventsDefault)
    },
    notificationLevel(kind) {
      return parseLevel(own(notifications, kind), version) ?? notificationDefault
    },
  }
}

/** The power levels of a room in this state. */
export function powerLevelsOf(state: RoomState, version: RoomVersion): PowerLevels {
  const event = state.get('m.room.power_levels', '')
  return powerLevels(event?.content ?? null, version, state.get('m.room.create', '') ?? null)
}

/**
 * The creators of a room: `content.creator` up to version 10, the create event's sender in 11, and the sender with the
 * `additional_creators` in 12. https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function roomCreators(create: Event, version: RoomVersion): readonly UserId[] {
  if (!version.implicitRoomCreator) {
    const creator = own(create.content, 'creator')
    const userId = typeof creator === 'string' ? parseUserId(creator) : null
    return userId === null ? [] : [userId]
  }
  if (!version.privilegedCreators) return [create.sender]
  const additional = own(create.content, 'additional_creators')
  const creators = [create.sender]
  for (const item of Array.isArray(additional) ? additional : []) {
    const userId = typeof item === 'string' ? parseUserId(item) : null
    if (userId !== null) creators.push(userId)
  }
  return creators
}

/**
 * A power level as the version reads it, or `null` when it is absent or not acceptable. From version 10 on only integers
 * are; before, strings that hold one (`" +0100 "`) too, and up to version 5 also floats, which are cut at the point.
 * https://spec.matrix.org/v1.19/rooms/v1/#deprecated-event-content-schemas
 */
export function parseLevel(value: JsonValue | undefined, version: RoomVersion): number | null {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value
    return version.strictCanonicalJson ? null : truncate(value)
  }
  if (version.integerPowerLevels) return null
  if (typeof value === 'string') return /^\s*[+-]?\d+\s*$/.test(value) ? truncate(Number(value)) : null
  const text = version.strictCanonicalJson ? null : rawNumberText(value)
  return text === null ? null : truncate(Number(text))
}

/** `null` beyond what a double can hold; adding zero turns −0 into 0. */
function truncate(number: number): number | null {
  return Number.isFinite(number) ? Math.trunc(number) + 0 : null
}

function objectAt(content: JsonObject | null, key: string): JsonObject | null {
  const value = content === null ? undefined : own(content, key)
  return isJsonObject(value) ? value : null
}

function own(object: JsonObject | null, key: string): JsonValue | undefined {
  return object !== null && Object.hasOwn(object, key) ? object[key] : undefined
}
