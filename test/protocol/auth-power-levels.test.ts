import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { authorise } from '../../src/protocol/auth/authorise.ts'
import { mayRedact } from '../../src/protocol/auth/redaction.ts'
import { type EventId, type RoomId } from '../../src/protocol/identifiers.ts'
import { type JsonObject, type JsonValue, isJsonObject } from '../../src/protocol/json.ts'
import { rawNumber } from '../../src/protocol/raw-number.ts'
import { type RoomVersion, roomVersions } from '../../src/protocol/room-versions.ts'
import { type Draft, RoomFixture, alice, bob, carol, dave, frank, populatedRoom, version } from './room-fixture.ts'

// The file names, for each key of `m.room.power_levels`, what it gates and the level that the spec gives it if absent.
const matrix = JSON.parse(readFileSync(new URL('../vectors/power-level-matrix.json', import.meta.url), 'utf8')) as {
  values: ('absent' | number)[]
  keys: { key: string; absent: number | null }[]
}
const highest = Number.MAX_SAFE_INTEGER

/** True if bob may do what the key gates, in a room of such power levels. Carol, his target, is at `targetLevel`. */
function bobMay(roomVersion: RoomVersion, key: string, levels: JsonObject): boolean {
  const room = populatedRoom(roomVersion)
  // Carol must stand below bob, wherever he is, or no kick and no ban could ever be allowed.
  const users = { [carol]: -highest, ...(isJsonObject(levels['users']) ? levels['users'] : {}) }
  room.levels({ ...levels, users: room.users(users) })
  const draft: Record<string, Draft> = {
    users_default: { type: 'org.example.probe' },
    users: { type: 'org.example.probe' },
    events_default: { type: 'm.room.message' },
    state_default: { type: 'm.room.topic', stateKey: '' },
    events: { type: 'm.room.name', stateKey: '' },
    invite: { type: 'm.room.member', stateKey: frank, content: { membership: 'invite' } },
    kick: { type: 'm.room.member', stateKey: carol, content: { membership: 'leave' } },
    ban: { type: 'm.room.member', stateKey: carol, content: { membership: 'ban' } },
    redact: { type: 'm.room.redaction', redacts: room.idOf('target', carol) },
    notifications: {
      type: 'm.room.power_levels',
      stateKey: '',
      content: { ...levels, users: room.users(users), notifications: {} },
    },
  }
  const target = room.event({ type: 'm.room.message', sender: carol, name: 'target' })
  const event = room.event({ ...(draft[key] ?? { type: 'm.room.message' }), sender: bob })
  const verdict = authorise(event, room.state, roomVersion)
  if (key !== 'redact' || !verdict.allowed) return verdict.allowed
  return mayRedact(event, target, room.state, roomVersion).allowed
}

/** The power levels in which the key has the value and bob the level; the other keys stand out of the way. */
function levelsFor(key: string, value: JsonValue | undefined, bobLevel: number): JsonObject {
  const given = value === undefined ? {} : { [key]: value }
  switch (key) {
    case 'events':
      return { users: { [bob]: bobLevel }, ...(value === undefined ? {} : { events: { 'm.room.name': value } }) }
    case 'redact':
      return { users: { [bob]: bobLevel }, events_default: -highest, ...given }
    case 'notifications':
      return {
        users: { [bob]: bobLevel },
        events: { 'm.room.power_levels': -highest },
        notifications: value === undefined ? {} : { room: value },
      }
    default:
      return { users: { [bob]: bobLevel }, ...given }
  }
}

describe.each(roomVersions)('power levels in room version $id', roomVersion => {
  const gates = matrix.keys.filter(({ key }) => key !== 'users' && key !== 'users_default' && key !== 'notifications')
  const rows = gates.flatMap(({ key, absent }) => matrix.values.map(value => ({ key, value, absent })))

  it.each(rows)('gate at $value what $key is for', ({ key, value, absent }) => {
    const required = value === 'absent' ? (absent ?? 0) : value
    const given = value === 'absent' ? undefined : value
    expect(bobMay(roomVersion, key, levelsFor(key, given, required))).toBe(true)
    expect(bobMay(roomVersion, key, levelsFor(key, given, required - 1))).toBe(false)
  })

  const users = matrix.keys.filter(({ key }) => key === 'users' || key === 'users_default')
  const userRows = users.flatMap(({ key, absent }) => matrix.values.map(value => ({ key, value, absent })))
  it.each(userRows)('give a user the level $value of $key', ({ key, value, absent }) => {
    const level = value === 'absent' ? (absent ?? 0) : value
    const given = value === 'absent' ? undefined : value
    const place: JsonObject =
      given === undefined ? {} : key === 'users' ? { users: { [bob]: given } } : { users_default: given }
    const required = (required: number): JsonObject => ({ ...place, events: { 'org.example.probe': required } })
    expect(bobMay(roomVersion, key, required(level))).toBe(true)
    // No level is higher than the highest that a room can ask for.
    if (level < highest) expect(bobMay(roomVersion, key, required(level + 1))).toBe(false)
  })

  it.each(matrix.values)('let a notification level of %s be removed by its equals alone, from version 6 on', value => {
    if (value === 'absent') {
      expect(bobMay(roomVersion, 'notifications', levelsFor('notifications', undefined, -highest))).toBe(true)
      return
    }
    expect(bobMay(roomVersion, 'notifications', levelsFor('notifications', value, value))).toBe(true)
    const below = bobMay(roomVersion, 'notifications', levelsFor('notifications', value, value - 1))
    expect(below).toBe(!roomVersion.limitNotificationsPowerLevels)
  })

  it('without an event make the creator mighty and ask 50 for state (A-8)', () => {
    const room = new RoomFixture(roomVersion)
    room.member(alice, 'join')
    room.member(bob, 'join')
    const sends = (draft: Draft): boolean => authorise(room.event(draft), room.state, roomVersion).allowed
    expect(sends({ type: 'm.room.topic', stateKey: '' })).toBe(true)
    expect(sends({ type: 'm.room.topic', stateKey: '', sender: bob })).toBe(false)
    expect(sends({ type: 'm.room.message', sender: bob })).toBe(true)
    expect(sends({ type: 'm.room.member', stateKey: frank, sender: bob, content: { membership: 'invite' } })).toBe(true)
    // With an event, even an empty one, a creator without privileges is like anybody else.
    room.levels({})
    expect(sends({ type: 'm.room.topic', stateKey: '' })).toBe(roomVersion.privilegedCreators)
  })

  it('are not raised by their own sender', () => {
    const room = populatedRoom(roomVersion)
    const levels = room.users({ [bob]: 51 })
    const event = room.event({ type: 'm.room.power_levels', sender: bob, stateKey: '', content: { users: levels } })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
  })

  it('are taken when they have no users', () => {
    const room = populatedRoom(roomVersion)
    room.state.delete('m.room.power_levels', '')
    const event = room.event({ type: 'm.room.power_levels', stateKey: '', content: {} })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(true)
  })

  it.each<[string, JsonValue, RegExp]>([
    ['a string of an integer', ' +050 ', /^[1-9]$/],
    ['a float', rawNumber('50.57'), /^[1-5]$/],
    ['a string of a float', '50.5', /^never$/],
    ['a word', 'admin', /^never$/],
    ['nothing', null, /^never$/],
    ['a list', [50], /^never$/],
    ['a truth', true, /^never$/],
    ['a number beyond doubles', rawNumber('1e400'), /^never$/],
  ])('are taken as %s where the version does', (_name, value, versions) => {
    const room = populatedRoom(roomVersion)
    room.state.delete('m.room.power_levels', '')
    for (const content of [{ users: { [bob]: value } }, { ban: value }, { events: { 'm.room.name': value } }]) {
      const event = room.event({ type: 'm.room.power_levels', stateKey: '', content })
      expect(authorise(event, room.state, roomVersion).allowed).toBe(versions.test(roomVersion.id))
    }
  })

  it('that are equal in another spelling are not a change', () => {
    if (roomVersion.integerPowerLevels) return
    const room = populatedRoom(roomVersion)
    room.levels({ ban: 100, users: { [alice]: 100, [bob]: 50 } })
    const content = { ban: '100', users: { [alice]: ' 100', [bob]: '+50' } }
    const event = room.event({ type: 'm.room.power_levels', sender: bob, stateKey: '', content })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(true)
  })
})

describe('the creators of room version 12 (C-3)', () => {
  const roomVersion = version('12')
  const withCreator = (): RoomFixture => populatedRoom(roomVersion, { additional_creators: [dave] })

  it('cannot be named in the power levels, whoever sends them', () => {
    const room = withCreator()
    for (const creator of [alice, dave]) {
      const event = room.event({ type: 'm.room.power_levels', stateKey: '', content: { users: { [creator]: 100 } } })
      expect(authorise(event, room.state, roomVersion)).toMatchObject({ allowed: false, rule: 'v12 10.4' })
    }
  })

  it('cannot be kicked or banned by the highest level there is', () => {
    const room = withCreator()
    room.levels({ users: { [bob]: highest } })
    for (const creator of [alice, dave]) {
      for (const membership of ['leave', 'ban']) {
        const event = room.event({ type: 'm.room.member', sender: bob, stateKey: creator, content: { membership } })
        expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
      }
    }
  })

  it('can send what asks for the highest level there is, additional ones too, but cannot kick each other', () => {
    const room = withCreator()
    room.member(dave, 'join')
    room.levels({ users: {}, events_default: highest, state_default: highest, kick: highest })
    const message = room.event({ type: 'm.room.message', sender: dave })
    expect(authorise(message, room.state, roomVersion).allowed).toBe(true)
    const kick = room.event({
      type: 'm.room.member',
      sender: dave,
      stateKey: alice,
      content: { membership: 'leave' },
    })
    expect(authorise(kick, room.state, roomVersion).allowed).toBe(false)
  })

  it('are no more than their sender before version 12', () => {
    const room = populatedRoom(version('11'), { additional_creators: [carol] })
    const topic = room.event({ type: 'm.room.topic', stateKey: '', sender: carol })
    expect(authorise(topic, room.state, room.version).allowed).toBe(false)
  })
})

describe.each(roomVersions)('a redaction in room version $id', roomVersion => {
  const redact = (sender: typeof bob, targetSender: typeof bob, change: Partial<Draft> = {}): boolean => {
    const room = populatedRoom(roomVersion)
    const target = room.event({ type: 'm.room.message', sender: targetSender, name: 'target' })
    const redaction = room.event({ type: 'm.room.redaction', sender, redacts: target.eventId, ...change })
    return mayRedact(redaction, target, room.state, roomVersion).allowed
  }

  it('is applied when its sender has the level', () => {
    expect(redact(bob, carol)).toBe(true)
  })
  it('is applied to an event of the same server, and to no other without the level (A-9, A-11)', () => {
    expect(redact(carol, carol)).toBe(true)
    expect(redact(carol, alice)).toBe(false)
  })
  it('is not applied to another event, to an event of another room or without a room', () => {
    expect(redact(alice, carol, { redacts: '$other:one.example' as EventId })).toBe(false)
    const room = populatedRoom(roomVersion)
    const target = room.event({ type: 'm.room.message', sender: carol })
    const redaction = room.event({ type: 'm.room.redaction', redacts: target.eventId })
    const elsewhere = { ...target, roomId: '!elsewhere:one.example' as RoomId }
    expect(mayRedact(redaction, elsewhere, room.state, roomVersion).allowed).toBe(false)
    expect(mayRedact(redaction, target, { get: () => undefined }, roomVersion).allowed).toBe(false)
  })
})
