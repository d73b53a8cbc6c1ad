import { type JsonObject, isJsonObject } from '../../../src/protocol/json.ts'
import { type RoomFixture, alice, bob, carol, dave } from '../room-fixture.ts'
import { type Attempt, type RuleCase, attempt } from './case.ts'

/** Bob, at 50, changes the levels from one content to another; `users` has alice and bob unless said otherwise. */
function bobChanges(from: JsonObject, to: JsonObject): (room: RoomFixture) => Attempt {
  return room => {
    const users = room.users({ [bob]: 50, [carol]: 10 })
    const merged = (content: JsonObject): JsonObject => ({
      ...content,
      users: { ...users, ...(isJsonObject(content['users']) ? content['users'] : {}) },
    })
    room.levels(merged(from))
    return attempt({ type: 'm.room.power_levels', sender: bob, stateKey: '', content: merged(to) })(room)
  }
}
function firstLevels(content: JsonObject): (room: RoomFixture) => Attempt {
  return room => {
    room.state.delete('m.room.power_levels', '')
    return attempt({ type: 'm.room.power_levels', stateKey: '', content })(room)
  }
}

/** The rules on `m.room.power_levels`. */
export const powerLevelsCases: RuleCase[] = [
  { rule: 'power_levels.integers', passes: firstLevels({ ban: 50 }), refuses: firstLevels({ ban: '50' }) },
  {
    rule: 'power_levels.maps',
    passes: firstLevels({ events: { 'm.room.topic': 0 }, notifications: { room: 50 } }),
    refuses: firstLevels({ notifications: { room: '50' } }),
  },
  {
    rule: 'power_levels.users',
    passes: firstLevels({ users: { [carol]: 10 } }),
    refuses: firstLevels({ users: { carol: 10 } }),
  },
  {
    rule: 'power_levels.creators',
    passes: firstLevels({ users: { [carol]: 10 } }),
    refuses: firstLevels({ users: { [alice]: 100 } }),
  },
  {
    rule: 'power_levels.first',
    // Nobody's level limits the first one.
    passes: firstLevels({ ban: 1_000, users: { [bob]: 1_000 } }),
    refuses: bobChanges({}, { ban: 1_000, users: { [bob]: 1_000 } }),
    refusedBy: 'power_levels.properties.new',
  },
  {
    rule: 'power_levels.properties.current',
    passes: bobChanges({ ban: 50 }, { ban: 10 }),
    refuses: bobChanges({ ban: 51 }, { ban: 10 }),
  },
  {
    rule: 'power_levels.properties.new',
    passes: bobChanges({ kick: 10 }, { kick: 50 }),
    refuses: bobChanges({ kick: 10 }, { kick: 51 }),
  },
  {
    rule: 'power_levels.entries.current',
    passes: bobChanges({ events: { 'm.room.name': 50 } }, { events: {} }),
    refuses: bobChanges({ events: { 'm.room.name': 51 } }, { events: {} }),
  },
  {
    rule: 'power_levels.entries.new',
    passes: bobChanges({}, { events: { 'm.room.name': 50 } }),
    refuses: bobChanges({}, { events: { 'm.room.name': 51 } }),
  },
  {
    rule: 'power_levels.users.current',
    passes: bobChanges({ users: { [dave]: 49 } }, { users: {} }),
    refuses: bobChanges({ users: { [dave]: 50 } }, { users: {} }),
  },
  {
    rule: 'power_levels.users.new',
    passes: bobChanges({}, { users: { [dave]: 50 } }),
    refuses: bobChanges({}, { users: { [dave]: 51 } }),
  },
  {
    rule: 'power_levels.otherwise',
    passes: bobChanges({}, { users: { [bob]: 0 } }),
    refuses: bobChanges({}, { users: { [bob]: 51 } }),
    refusedBy: 'power_levels.users.new',
  },
]
