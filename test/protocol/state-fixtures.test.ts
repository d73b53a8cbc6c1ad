import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId, type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { type JsonObject, isJsonObject } from '../../src/protocol/json.ts'
import { roomVersions } from '../../src/protocol/room-versions.ts'
import { reverseTopologicalPowerOrdering } from '../../src/protocol/state/orderings.ts'
import { resolveState } from '../../src/protocol/state/resolve.ts'
import { RecordingSource } from '../../src/protocol/state/source.ts'
import { StateMap } from '../../src/protocol/state-map.ts'
import { NaiveResolution } from './naive-resolution.ts'
import { RoomFixture, alice, bob, carol, dave, erin, frank, version } from './room-fixture.ts'

const people: Readonly<Record<string, UserId>> = { alice, bob, carol, erin, frank }

/** A room drawn in JSON. Alice made it; she is added to the `users` of power levels where creators may be named. */
interface Drawing {
  name: string
  events: { name: string; sender: string; type: string; state_key?: string; content: JsonObject; auth: string[] }[]
  states: string[][]
  resolved: Record<string, string[]>
}
// The file holds drawings of that shape.
const drawings = JSON.parse(readFileSync(new URL('../vectors/msc4297.json', import.meta.url), 'utf8')) as Drawing[]

function draw(drawing: Drawing, versionId: string): { room: RoomFixture; byName: Map<string, Event> } {
  const room = new RoomFixture(version(versionId))
  const byName = new Map<string, Event>([['create', room.create]])
  const idsOf = (names: string[]): EventId[] => names.flatMap(name => byName.get(name)?.eventId ?? [])
  for (const { name, sender, type, state_key: stateKey = '', content, auth } of drawing.events) {
    const users = content['users']
    const levels = Object.entries(isJsonObject(users) ? users : {}).map(([user, level]) => [
      people[user] ?? user,
      level,
    ])
    const event = room.event({
      type,
      sender: people[sender] ?? alice,
      stateKey: people[stateKey] ?? stateKey,
      content: isJsonObject(users) ? { ...content, users: room.users(Object.fromEntries(levels)) } : content,
      name,
      authEvents: [...(room.version.roomIdIsCreateHash ? [] : [room.create.eventId]), ...idsOf(auth)],
    })
    byName.set(name, event)
  }
  return { room, byName }
}

function stateOf(events: Iterable<Event>): StateMap<EventId> {
  const state = new StateMap<EventId>()
  for (const { type, stateKey, eventId } of events) if (stateKey !== null) state.set(type, stateKey, eventId)
  return state
}

/** The resolved state of a room without rejected events, by both implementations. */
function resolve(room: RoomFixture, stateSets: readonly StateMap<EventId>[]): StateMap<EventId> {
  const source = { get: (id: EventId) => room.events.get(id), isRejected: () => false }
  const resolution = resolveState(stateSets, room.version, source)
  if (!resolution.ok) throw new Error(`missing ${resolution.missing.join()}`)
  const naive = new NaiveResolution(room.version, room.events, new Set()).resolve(stateSets)
  expect(new Set(resolution.state.values())).toEqual(new Set(naive.values()))
  return resolution.state
}

describe.each(drawings)('MSC4297, $name', drawing => {
  const namesIn = (versionId: string): Set<string> => {
    const { room, byName } = draw(drawing, versionId)
    const states = drawing.states.map(names => stateOf(names.flatMap(name => byName.get(name) ?? [])))
    const resolved = new Set(resolve(room, states).values())
    return new Set([...byName].filter(([, event]) => resolved.has(event.eventId)).map(([name]) => name))
  }

  it('resets the state in room version 11', () => {
    expect(namesIn('11')).toEqual(new Set(drawing.resolved['11']))
  })
  it('no longer does in room version 12 (C-1)', () => {
    expect(namesIn('12')).toEqual(new Set(drawing.resolved['12']))
  })
})

/** A room where alice, bob (at 100), carol (at 50) and dave are joined and all may join. */
function forkableRoom(versionId: string): RoomFixture {
  const room = new RoomFixture(version(versionId))
  room.member(alice, 'join')
  room.levels({ users: room.users({ [bob]: 100, [carol]: 50 }) })
  room.joinRule('public')
  for (const user of [bob, carol, dave]) room.member(user, 'join')
  return room
}

/** The room's state with the event in its place. */
function after(room: RoomFixture, ...events: Event[]): StateMap<EventId> {
  const state = room.stateIds()
  for (const { type, stateKey, eventId } of events) state.set(type, stateKey ?? '', eventId)
  return state
}

describe.each(roomVersions.filter(({ stateResolution }) => stateResolution !== 'v1'))(
  'a fork of room version $id',
  ({ id, stateResolution }) => {
    it('gives the ban precedence over what the banned do at the same time (S6)', () => {
      const room = forkableRoom(id)
      const ban = room.event({
        type: 'm.room.member',
        stateKey: carol,
        content: { membership: 'ban' },
        originServerTs: 9_000,
      })
      // Carol acts first, as her server's clock has it: a promotion of dave, a topic and a kick.
      const users = room.users({ [bob]: 100, [carol]: 50, [dave]: 50 })
      const acts = [
        room.event({ type: 'm.room.power_levels', sender: carol, stateKey: '', content: { users }, originServerTs: 1 }),
        room.event({ type: 'm.room.topic', sender: carol, stateKey: '', originServerTs: 1 }),
        room.event({
          type: 'm.room.member',
          sender: carol,
          stateKey: dave,
          content: { membership: 'leave' },
          originServerTs: 1,
        }),
      ]
      const resolved = resolve(room, [after(room, ban), after(room, ...acts)])
      expect(resolved.get('m.room.member', carol)).toBe(ban.eventId)
      expect(acts.filter(({ type, stateKey, eventId }) => resolved.get(type, stateKey ?? '') === eventId)).toEqual([])
      expect(resolved.get('m.room.power_levels', '')).toBe(room.state.get('m.room.power_levels', '')?.eventId)
    })

    it('orders a creator before a level of 100 where creators are privileged, by time where not (C-8)', () => {
      const room = forkableRoom(id)
      const kick = room.event({
        type: 'm.room.member',
        stateKey: bob,
        content: { membership: 'leave' },
        originServerTs: 9_000,
      })
      const ban = room.event({
        type: 'm.room.member',
        sender: bob,
        stateKey: dave,
        content: { membership: 'ban' },
        originServerTs: 1,
      })
      const source = new RecordingSource({ get: eventId => room.events.get(eventId), isRejected: () => false })
      const isPrivileged = stateResolution === 'v2.1'
      expect(reverseTopologicalPowerOrdering([ban, kick], room.version, source)).toEqual(
        isPrivileged ? [kick, ban] : [ban, kick],
      )
      if (!isPrivileged) return
      const resolved = resolve(room, [after(room, kick), after(room, ban)])
      expect(resolved.get('m.room.member', bob)).toBe(kick.eventId)
      expect(resolved.get('m.room.member', dave)).toBe(room.state.get('m.room.member', dave)?.eventId)
    })

    it('weighs each sender by the power levels that the event itself cites', () => {
      const room = new RoomFixture(version(id))
      room.member(alice, 'join')
      // Before the first power levels a creator counts, and nobody else; afterwards the levels do.
      const early = room.event({ type: 'm.room.join_rules', stateKey: '', originServerTs: 3 })
      const earlyBob = room.event({ type: 'm.room.join_rules', sender: bob, stateKey: '', originServerTs: 1 })
      room.levels({ users: room.users({ [bob]: 100 }) })
      const lateBob = room.event({ type: 'm.room.join_rules', sender: bob, stateKey: '', originServerTs: 2 })
      const lateCarol = room.event({
        type: 'm.room.join_rules',
        sender: carol,
        stateKey: '',
        originServerTs: 1,
        name: 'z',
      })
      const source = new RecordingSource({ get: eventId => room.events.get(eventId), isRejected: () => false })
      const ordered = reverseTopologicalPowerOrdering([early, lateCarol, earlyBob, lateBob], room.version, source)
      const byPower = stateResolution === 'v2.1' ? [early, lateBob] : [lateBob, early]
      expect(ordered).toEqual([...byPower, earlyBob, lateCarol])
    })

    it('takes no auth event of another room for its own', () => {
      const room = forkableRoom(id)
      const levels = room.event({
        type: 'm.room.power_levels',
        stateKey: '',
        content: { users: room.users({ [dave]: 100 }) },
        roomId: '!elsewhere:one.example' as RoomId,
      })
      const cited = [room.create, levels, room.state.get('m.room.member', dave)]
      const authEvents = cited.flatMap(event => event?.eventId ?? []).slice(room.version.roomIdIsCreateHash ? 1 : 0)
      const topics = [1, 2].map(originServerTs =>
        room.event({ type: 'm.room.topic', sender: dave, stateKey: '', authEvents, originServerTs }),
      )
      // The room's own power levels are missing from both states, as if they had been forgotten.
      const states = topics.map(topic => {
        const state = after(room, topic)
        state.delete('m.room.power_levels', '')
        return state
      })
      const source = { get: (eventId: EventId) => room.events.get(eventId), isRejected: () => false }
      const resolution = resolveState(states, room.version, source)
      expect(resolution.ok && resolution.state.has('m.room.topic', '')).toBe(false)
    })

    it('keeps what only one side has', () => {
      const room = forkableRoom(id)
      const topic = room.event({ type: 'm.room.topic', sender: carol, stateKey: '' })
      const name = room.event({ type: 'm.room.name', sender: carol, stateKey: '' })
      const resolved = resolve(room, [after(room, topic), after(room, name)])
      expect(new Set(resolved.values())).toEqual(new Set(after(room, topic, name).values()))
    })

    it('takes the later of two topics, and of two at one time the one with the greater ID', () => {
      const room = forkableRoom(id)
      const topic = (name: string, originServerTs: number): Event =>
        room.event({ type: 'm.room.topic', sender: carol, stateKey: '', name, originServerTs })
      const [first, second, third] = [topic('z', 5), topic('a', 6), topic('b', 6)]
      expect(resolve(room, [after(room, first), after(room, second)]).get('m.room.topic', '')).toBe(second.eventId)
      expect(resolve(room, [after(room, third), after(room, second)]).get('m.room.topic', '')).toBe(third.eventId)
    })

    it('does not let a rejected event in, even as the only one of its kind (C-4)', () => {
      const room = forkableRoom(id)
      const topic = room.event({ type: 'm.room.topic', sender: carol, stateKey: '' })
      const source = {
        get: (eventId: EventId) => room.events.get(eventId),
        isRejected: (eventId: EventId) => eventId === topic.eventId,
      }
      for (const states of [
        [after(room, topic), room.stateIds()],
        [after(room, topic), after(room, topic)],
        [after(room, topic)],
      ]) {
        const resolution = resolveState(states, room.version, source)
        expect(resolution.ok && resolution.state.has('m.room.topic', '')).toBe(false)
      }
    })
  },
)

describe('room version 12', () => {
  it('finds the create event by the room’s ID and says so when it is missing', () => {
    const room = forkableRoom('12')
    const [topic, other] = [1, 2].map(originServerTs =>
      room.event({ type: 'm.room.topic', sender: carol, stateKey: '', originServerTs }),
    )
    if (topic === undefined || other === undefined) throw new Error('two events were made')
    const source = {
      get: (id: EventId) => (id === room.create.eventId ? undefined : room.events.get(id)),
      isRejected: () => false,
    }
    expect(resolveState([after(room, topic), after(room, other)], room.version, source)).toEqual({
      ok: false,
      missing: [room.create.eventId],
    })
  })
})

describe('room version 1', () => {
  const room = forkableRoom('1')
  const topic = (name: string, depth: number, sender = bob): Event =>
    room.event({ type: 'm.room.topic', sender, stateKey: '', name, depth })
  const winner = (...events: Event[]): EventId | undefined =>
    resolve(
      room,
      events.map(event => after(room, event)),
    ).get('m.room.topic', '')

  it('takes the topic of the greatest depth that the rules allow', () => {
    const [low, high, forbidden] = [topic('low', 20), topic('high', 21), topic('forbidden', 22, dave)]
    expect(winner(low, high)).toBe(high.eventId)
    expect(winner(forbidden, high, low)).toBe(high.eventId)
  })

  it('takes of two topics of one depth the one whose ID has the lesser SHA-1', () => {
    // As `sha1sum` says: af9ea517… for the one, 97271ad7… for the other.
    const [a, b] = [topic('a', 30), topic('b', 30)]
    expect([a.eventId, b.eventId]).toEqual(['$a:two.example', '$b:two.example'])
    expect(winner(a, b)).toBe(winner(b, a))
    expect(winner(a, b)).toBe(b.eventId)
  })

  it('keeps the topic of the least depth when the rules allow none', () => {
    const [low, high] = [topic('dave-low', 40, dave), topic('dave-high', 41, dave)]
    expect(winner(low, high)).toBe(low.eventId)
  })

  it('does not see a conflict where one side lacks the key', () => {
    const forbidden = topic('lonely', 50, dave)
    expect(resolve(room, [room.stateIds(), after(room, forbidden)]).get('m.room.topic', '')).toBe(forbidden.eventId)
  })

  it('goes from one power levels event to the next as long as the rules allow it', () => {
    const levels = (name: string, depth: number, sender: UserId, users: JsonObject): Event =>
      room.event({
        type: 'm.room.power_levels',
        sender,
        stateKey: '',
        name,
        depth,
        content: { users: room.users(users) },
      })
    const one = levels('one', 60, alice, { [carol]: 0, [bob]: 99 })
    const two = levels('two', 61, bob, { [carol]: 10, [bob]: 99 })
    const three = levels('three', 62, carol, { [carol]: 100, [bob]: 99 })
    const four = levels('four', 63, alice, {})
    const resolved = (...events: Event[]): EventId | undefined =>
      resolve(
        room,
        events.map(event => after(room, event)),
      ).get('m.room.power_levels', '')
    expect(resolved(two, one)).toBe(two.eventId)
    // The first that is refused ends it, whatever comes after.
    expect(resolved(four, three, two, one)).toBe(two.eventId)
  })
})
