import { describe, expect, it } from '@jest/globals'
import { type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import {
  parseLevel,
  type PowerLevels,
  powerLevels,
  powerLevelsOf,
  roomCreators,
} from '../../src/protocol/power-levels.ts'
import { StateMap } from '../../src/protocol/state-map.ts'
import { type Event } from '../../src/protocol/event.ts'
import { alice, built, builtCreate, everyVersion, userId, versionOf } from './sample-events.ts'

const bob = userId('@bob:example.org')
const carol = userId('@carol:elsewhere.org')

/** The keys of the content, what we call them, and what holds without them. */
const named = [
  ['ban', 'ban', 50],
  ['kick', 'kick', 50],
  ['redact', 'redact', 50],
  ['invite', 'invite', 0],
  ['users_default', 'usersDefault', 0],
  ['events_default', 'eventsDefault', 0],
  ['state_default', 'stateDefault', 50],
] as const

function read(text: string): JsonValue {
  const parsed = parseJson(text, { numbers: 'preserved' })
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

describe.each(everyVersion)('power levels in room version %s', (id, version) => {
  const number = Number(id)
  const create = builtCreate(version, number === 12 ? { additional_creators: [bob] } : {})
  const levels = (content: JsonObject | null): PowerLevels => powerLevels(content, version, create)

  it.each(named)('A-7: take %s from the content, or its default', (key, property, absent) => {
    expect(levels(null)[property]).toBe(absent)
    expect(levels({})[property]).toBe(absent)
    for (const level of [0, 50, 100, -1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]) {
      expect(levels({ [key]: level })[property]).toBe(level)
    }
    for (const bad of [null, true, false, [], {}, 'x', '', '1.5']) expect(levels({ [key]: bad })[property]).toBe(absent)
  })

  it.each(named)('read %s from a string only before version 10', (key, property, absent) => {
    for (const text of ['75', '0075', '+75', ' 75 ', '\t+0075\n']) {
      expect(levels({ [key]: text })[property]).toBe(number < 10 ? 75 : absent)
    }
    expect(levels({ [key]: ' -75 ' })[property]).toBe(number < 10 ? -75 : absent)
    for (const bad of ['', ' ', '+', '7 5', '7.5', '0x10', '1e2', '--7', 'Infinity', '9'.repeat(400)]) {
      expect(levels({ [key]: bad })[property]).toBe(absent)
    }
  })

  it('cut floats at the point up to version 5, and ignore them later', () => {
    for (const [text, level] of [
      ['50.57', 50],
      ['-50.57', -50],
      ['50.0', 50],
      ['5.114698E4', 51146],
      ['-0', 0],
      ['-0.5', 0],
    ] as const) {
      expect([text, parseLevel(read(text), version)]).toEqual([text, number <= 5 ? level : null])
    }
    expect(parseLevel(read('1e400'), version)).toBeNull()
    expect(parseLevel(Infinity, version)).toBeNull()
    expect(parseLevel(NaN, version)).toBeNull()
    expect(parseLevel(undefined, version)).toBeNull()
  })

  it('give the creator 100, or infinity, as long as there are none', () => {
    const absent = levels(null)
    expect(absent.userLevel(alice)).toBe(number === 12 ? Infinity : 100)
    expect(absent.userLevel(bob)).toBe(number === 12 ? Infinity : 0)
    expect(absent.userLevel(carol)).toBe(0)
  })

  it('A-8: take the 100 away with the first event, even an empty one', () => {
    const empty = levels({})
    expect(empty.userLevel(alice)).toBe(number === 12 ? Infinity : 0)
    expect(empty.userLevel(carol)).toBe(0)
    expect(empty.requiredLevel('m.room.name', true)).toBe(50)
    expect(levels(null).requiredLevel('m.room.name', true)).toBe(50)
    expect(empty.requiredLevel('m.room.message', false)).toBe(0)
  })

  it('are looked up by user, with the default for the others', () => {
    const some = levels({ users: { [carol]: 30 }, users_default: 7 })
    expect(some.userLevel(carol)).toBe(30)
    expect(some.userLevel(userId('@dave:example.org'))).toBe(7)
    expect(levels({ users: { [carol]: '30' } }).userLevel(carol)).toBe(number < 10 ? 30 : 0)
    expect(levels({ users: [carol], users_default: 7 }).userLevel(carol)).toBe(7)
  })

  it('cannot take anything from a creator of version 12', () => {
    const demoted = levels({ users: { [alice]: 1, [bob]: 2 } })
    expect(demoted.userLevel(alice)).toBe(number === 12 ? Infinity : 1)
    expect(demoted.userLevel(bob)).toBe(number === 12 ? Infinity : 2)
    expect(levels({ users: { [carol]: Number.MAX_SAFE_INTEGER } }).userLevel(carol)).toBeLessThan(Infinity)
  })

  it('are looked up by type, whatever the type is called', () => {
    const some = levels({ events: { 'm.room.name': 20, 'm.reaction': -5 }, events_default: 1, state_default: 2 })
    expect(some.requiredLevel('m.room.name', true)).toBe(20)
    expect(some.requiredLevel('m.room.name', false)).toBe(20)
    expect(some.requiredLevel('m.reaction', false)).toBe(-5)
    for (const type of ['m.room.topic', '__proto__', 'constructor', 'toString', '']) {
      expect(some.requiredLevel(type, true)).toBe(2)
      expect(some.requiredLevel(type, false)).toBe(1)
    }
    expect(levels(read('{"events":{"__proto__":9}}') as JsonObject).requiredLevel('__proto__', false)).toBe(9)
  })

  it('do not count what only a prototype says', () => {
    const content = Object.create({ ban: 7, users: { [carol]: 60 } }) as JsonObject
    expect(levels(content).ban).toBe(50)
    expect(levels(content).userLevel(carol)).toBe(0)
    expect(levels({ users: Object.create({ [carol]: 60 }) as JsonObject }).userLevel(carol)).toBe(0)
  })

  it('know the level of a notification', () => {
    expect(levels(null).notificationLevel('room')).toBe(50)
    expect(levels({ notifications: {} }).notificationLevel('room')).toBe(50)
    expect(levels({ notifications: { room: 20 } }).notificationLevel('room')).toBe(20)
    expect(levels({ notifications: 20 }).notificationLevel('room')).toBe(50)
  })

  it('are read from the state of the room', () => {
    const event = built(version, { type: 'm.room.power_levels', stateKey: '', content: { users: { [carol]: 60 } } })
    const state = new StateMap<Event>([['m.room.create', '', create]])
    expect(powerLevelsOf(state, version).userLevel(alice)).toBe(number === 12 ? Infinity : 100)
    state.set('m.room.power_levels', '', event)
    expect(powerLevelsOf(state, version).userLevel(carol)).toBe(60)
    expect(powerLevelsOf(new StateMap<Event>(), version).userLevel(alice)).toBe(0)
  })
})

describe('the creators of a room', () => {
  it('are the one whom the create event names, up to version 10', () => {
    for (const [id, version] of everyVersion) {
      const create = builtCreate(version, { creator: bob })
      expect(roomCreators(create, version)).toEqual([Number(id) <= 10 ? bob : alice])
    }
    expect(roomCreators(builtCreate(versionOf('1'), { creator: 'bob' }), versionOf('1'))).toEqual([])
    expect(roomCreators(builtCreate(versionOf('1'), { creator: 1 }), versionOf('1'))).toEqual([])
  })

  it('are the sender and the additional ones, in version 12 only', () => {
    for (const [id, version] of everyVersion) {
      const create = builtCreate(version, { additional_creators: [bob, carol, 'nobody', 1, null] })
      expect(roomCreators(create, version)).toEqual(Number(id) === 12 ? [alice, bob, carol] : [alice])
    }
    expect(roomCreators(builtCreate(versionOf('12'), { additional_creators: bob }), versionOf('12'))).toEqual([alice])
  })
})
