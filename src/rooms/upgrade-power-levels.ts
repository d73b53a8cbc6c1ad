import { type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { parseLevel, roomCreators } from '../protocol/power-levels.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { type RoomHead } from './head.ts'

/** What a tombstone takes in version 12, if the old room had nothing to say about it. */
const tombstoneLevelWithCreators = 150

/**
 * The power levels of a room's successor. `first` lets whoever upgrades set everything up; `final`, if it is not `null`,
 * comes at the end and takes what they had no right to. `creators`: of the new room.
 */
export function successorPowerLevels(
  old: RoomHead,
  content: JsonObject,
  version: RoomVersion,
  creators: readonly UserId[],
  upgrader: UserId,
): { readonly first: JsonObject; readonly final: JsonObject | null } {
  const levels = numericLevels(content, old.version)
  const users = isJsonObject(levels['users']) ? { ...levels['users'] } : {}
  const events = isJsonObject(levels['events']) ? { ...levels['events'] } : {}
  const level = (value: JsonValue | undefined, absent: number) => (typeof value === 'number' ? value : absent)
  const stateDefault = level(levels['state_default'], 50)
  const highest = Math.max(stateDefault, level(levels['ban'], 50), ...Object.values(events).map(each => level(each, 0)))

  if (version.privilegedCreators) {
    // "the room creator … cannot be specified in the `users` field"
    for (const userId of creators) delete users[userId]
    // "the power level for sending `m.room.tombstone` events MUST explicitly be higher than `state_default`"
    if (level(events['m.room.tombstone'], 0) <= Math.max(stateDefault, 100)) {
      events['m.room.tombstone'] = Math.max(tombstoneLevelWithCreators, stateDefault + 1)
    }
    return { first: { ...levels, users, events }, final: null }
  }
  if (old.version.privilegedCreators) {
    // Creators of the old room have no infinite power any more: they get the most there is.
    const create = old.event('m.room.create')
    for (const userId of create ? roomCreators(create, old.version) : []) users[userId] = Math.max(highest, 100)
  }
  const final = { ...levels, users, events }
  const own = level(users[upgrader], level(levels['users_default'], 0))
  if (own >= highest) return { first: final, final: null }
  return { first: { ...final, users: { ...users, [upgrader]: highest } }, final }
}

/** "setting `events_default` and `invite` to the greater of `50` and `users_default + 1`"; `null` if they are there already. */
export function closedPowerLevels(content: JsonObject, version: RoomVersion): JsonObject | null {
  const silent = Math.max(50, (parseLevel(content['users_default'], version) ?? 0) + 1)
  const raised: JsonObject = { ...content }
  for (const key of ['events_default', 'invite']) {
    if ((parseLevel(content[key], version) ?? 0) < silent) raised[key] = silent
  }
  const isSame = raised['events_default'] === content['events_default'] && raised['invite'] === content['invite']
  return isSame ? null : raised
}

/** The content with every level a number: rooms before version 10 may have strings, which newer ones refuse. */
function numericLevels(content: JsonObject, version: RoomVersion): JsonObject {
  const entries = Object.entries(content).map(([key, value]): [string, JsonValue] => {
    if (!isJsonObject(value)) return [key, parseLevel(value, version) ?? value]
    return [
      key,
      Object.fromEntries(Object.entries(value).map(([name, each]) => [name, parseLevel(each, version) ?? 0])),
    ]
  })
  return Object.fromEntries(entries)
}
