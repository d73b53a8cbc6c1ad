import { type Event, type Verdict, allowed } from '../event.ts'
import { parseUserId } from '../identifiers.ts'
import { type JsonObject, type JsonValue, isJsonObject } from '../json.ts'
import { type PowerLevels, parseLevel, roomCreators } from '../power-levels.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type AuthState } from './auth-state.ts'
import { type RuleName, refuse } from './rules.ts'

/** The properties of `m.room.power_levels` that hold one level each. */
const singleLevels = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'] as const

/**
 * The rule "if type is `m.room.power_levels`" (v1–v5, v12: 10; v6–v11: 9). Its parts are: `users` valid v1–v9 .1,
 * v10–v12 .3; the first event v1–v9 .2, v10, v11 .4, v12 .5; then five comparisons of the current with the new content.
 * https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authorisePowerLevels(
  event: Event,
  create: Event,
  state: AuthState,
  power: PowerLevels,
  version: RoomVersion,
): Verdict {
  const wellFormed = checkForm(event.content, create, version)
  if (!wellFormed.allowed) return wellFormed

  // v1–v9 .2; v10, v11 .4; v12 .5
  const current = state.get('m.room.power_levels', '')
  if (!current) return allowed

  const old = current.content
  const senderLevel = power.userLevel(event.sender)
  const isTooHigh = (level: number | null): boolean => level !== null && level > senderLevel
  const refuseCurrent = (rule: RuleName): Verdict =>
    refuse(version, rule, 'the current level is higher than the sender’s')
  const refuseNew = (rule: RuleName): Verdict => refuse(version, rule, 'the new level is higher than the sender’s')

  // v1–v9 .3; v10, v11 .5; v12 .6
  for (const property of singleLevels) {
    const from = parseLevel(own(old, property), version)
    const to = parseLevel(own(event.content, property), version)
    if (from === to) continue
    // .1
    if (isTooHigh(from)) return refuseCurrent('power_levels.properties.current')
    // .2
    if (isTooHigh(to)) return refuseNew('power_levels.properties.new')
  }

  for (const property of version.limitNotificationsPowerLevels ? ['events', 'notifications'] : ['events']) {
    for (const [, from, to] of alterations(old, event.content, property, version)) {
      // v1–v9 .4.1; v10, v11 .6.1; v12 .7.1
      if (isTooHigh(from)) return refuseCurrent('power_levels.entries.current')
      // v1–v9 .5.1; v10, v11 .7.1; v12 .8.1
      if (isTooHigh(to)) return refuseNew('power_levels.entries.new')
    }
  }

  for (const [user, from, to] of alterations(old, event.content, 'users', version)) {
    // v1–v9 .6.1; v10, v11 .8.1; v12 .9.1
    if (user !== event.sender && from !== null && from >= senderLevel) {
      return refuse(version, 'power_levels.users.current', 'a user of the sender’s own or a higher level is changed')
    }
    // v1–v9 .7.1; v10, v11 .9.1; v12 .10.1
    if (isTooHigh(to)) return refuseNew('power_levels.users.new')
  }
  // v1–v9 .8; v10, v11 .10; v12 .11
  return allowed
}

/** The rules on the content alone, and on the creators in room version 12. */
function checkForm(content: JsonObject, create: Event, version: RoomVersion): Verdict {
  const isLevel = (value: JsonValue | undefined): boolean => parseLevel(value, version) !== null
  const isMapOfLevels = (value: JsonValue | undefined): boolean =>
    isJsonObject(value) && Object.values(value).every(isLevel)

  // v10–v12 .1. Before version 10 no rule speaks of these, but a level that cannot be read would be guessed at for
  // ever after, and other servers do not take such an event either.
  for (const property of singleLevels) {
    const value = own(content, property)
    if (value !== undefined && !isLevel(value)) {
      const rule = version.integerPowerLevels ? 'power_levels.integers' : 'power_levels.users'
      return refuse(version, rule, `${property} is not a level`)
    }
  }
  // v10–v12 .2
  for (const property of ['events', 'notifications']) {
    const value = own(content, property)
    if (value !== undefined && !isMapOfLevels(value)) {
      const rule = version.integerPowerLevels ? 'power_levels.maps' : 'power_levels.users'
      return refuse(version, rule, `${property} is not an object of levels`)
    }
  }
  // v1–v9 .1, v10–v12 .3. Content without `users` is taken, as every server does.
  const users = own(content, 'users')
  if (users === undefined) return allowed
  if (!isJsonObject(users) || !isMapOfLevels(users)) {
    return refuse(version, 'power_levels.users', 'users is not an object of levels')
  }
  if (Object.keys(users).some(user => parseUserId(user) === null)) {
    return refuse(version, 'power_levels.users', 'users has a key that is not a user ID')
  }
  // v12 .4
  if (version.privilegedCreators && roomCreators(create, version).some(user => Object.hasOwn(users, user))) {
    return refuse(version, 'power_levels.creators', 'users names a creator')
  }
  return allowed
}

type Alteration = [key: string, from: number | null, to: number | null]

/** The entries of `content[property]` that were added (`from` null), changed, or removed (`to` null). */
function alterations(old: JsonObject, content: JsonObject, property: string, version: RoomVersion): Alteration[] {
  const before = objectAt(old, property)
  const after = objectAt(content, property)
  const found: Alteration[] = []
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const from = parseLevel(own(before, key), version)
    const to = parseLevel(own(after, key), version)
    if (from !== to) found.push([key, from, to])
  }
  return found
}

function objectAt(content: JsonObject, property: string): JsonObject {
  const value = own(content, property)
  return isJsonObject(value) ? value : {}
}

function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
