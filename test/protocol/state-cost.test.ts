import { describe, expect, it } from '@jest/globals'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId, type UserId } from '../../src/protocol/identifiers.ts'
import { type RoomVersion, roomVersions } from '../../src/protocol/room-versions.ts'
import { resolveState } from '../../src/protocol/state/resolve.ts'
import { StateMap } from '../../src/protocol/state-map.ts'
import { RoomFixture, alice } from './room-fixture.ts'

interface Conflict {
  readonly room: RoomFixture
  readonly stateSets: readonly StateMap<EventId>[]
}

function stateOf(events: Iterable<Event>): StateMap<EventId> {
  return new StateMap([...events].map(({ type, stateKey, eventId }) => [type, stateKey ?? '', eventId]))
}

function start(version: RoomVersion): RoomFixture {
  const room = new RoomFixture(version)
  room.member(alice, 'join')
  room.levels({ users: room.users({}) })
  room.joinRule('public')
  return room
}

/** One side has seen `size` changes of the power levels and as many entries of state between them, the other none. */
function ladder(version: RoomVersion, size: number): Conflict {
  const room = start(version)
  const before = room.stateIds()
  for (let rung = 0; rung < size; rung++) {
    room.levels({ users: room.users({}), kick: rung % 50 })
    room.send({ type: 'org.example.rung', stateKey: String(rung) })
  }
  return { room, stateSets: [before, room.stateIds()] }
}

/** `size` members, half of whom one side has kicked and the other half the other. */
function star(version: RoomVersion, size: number): Conflict {
  const room = start(version)
  // The casts hold: they are user IDs.
  const users = Array.from({ length: size }, (_, index) => `@user${String(index)}:many.example` as UserId)
  for (const user of users) room.member(user, 'join')
  const sides = [0, 1].map(side => {
    const kicked = users.filter((_, index) => index % 2 === side)
    const kicks = kicked.map(user =>
      room.event({ type: 'm.room.member', stateKey: user, content: { membership: 'leave' } }),
    )
    return stateOf([...room.state.values(), ...kicks])
  })
  return { room, stateSets: sides }
}

/** A chain of `size` rungs down both sides: each cites two events of the level below, so that paths double at each. */
function lattice(version: RoomVersion, size: number): Conflict {
  const room = start(version)
  const before = room.stateIds()
  for (let level = 0; level < size / 2; level++) {
    // A new membership and new levels, each resting on both of the ones before.
    const join = room.event({ type: 'm.room.member', stateKey: alice, content: { membership: 'join', level } })
    const levels = room.event({
      type: 'm.room.power_levels',
      stateKey: '',
      content: { users: room.users({}), invite: level % 50 },
    })
    room.put(join)
    room.put(levels)
  }
  return { room, stateSets: [before, room.stateIds()] }
}

/** A lattice that both sides share, and one side on which somebody has joined and then changed a name. */
function sharedLattice(version: RoomVersion, size: number): Conflict {
  const { room } = lattice(version, size)
  const before = room.stateIds()
  // The cast holds: it is a user ID.
  const user = '@user:many.example' as UserId
  room.member(user, 'join')
  room.member(user, 'join', user, { displayname: 'User' })
  return { room, stateSets: [before, room.stateIds()] }
}

/** Resolves, and counts how often the source was asked for anything. */
function cost({ room, stateSets }: Conflict): { questions: number; milliseconds: number; size: number } {
  let questions = 0
  const began = performance.now()
  const resolution = resolveState(stateSets, room.version, {
    get: id => {
      questions++
      return room.events.get(id)
    },
    isRejected: () => {
      questions++
      return false
    },
  })
  const milliseconds = performance.now() - began
  if (!resolution.ok) throw new Error('events are missing')
  return { questions, milliseconds, size: resolution.state.size }
}

const versions = roomVersions.filter(({ id }) => ['1', '2', '11', '12'].includes(id))
const shapes = [
  ['a ladder', ladder],
  ['a star', star],
  ['a lattice', lattice],
  ['a shared lattice', sharedLattice],
] as const

describe.each(versions)('the cost of a resolution in room version $id (C-7, S8)', version => {
  it.each(shapes)('grows no faster than %s', (_name, shape) => {
    const [one, two, four] = [250, 500, 1_000].map(size => cost(shape(version, size)).questions)
    expect((two ?? Infinity) / (one ?? 1)).toBeLessThan(2.5)
    expect((four ?? Infinity) / (two ?? 1)).toBeLessThan(2.5)
  })

  it.each(shapes)('is below two seconds for a conflict of 1,000 events in %s', (_name, shape) => {
    const { milliseconds } = cost(shape(version, 1_000))
    expect(milliseconds).toBeLessThan(2_000)
  })
})

describe('a long auth chain', () => {
  it('does not exhaust the stack', () => {
    for (const version of versions) {
      const conflict = ladder(version, 5_000)
      expect(cost(conflict).size).toBe(conflict.room.state.size)
    }
  })
})
