import fc from 'fast-check'
import { authorise } from '../../src/protocol/auth/authorise.ts'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId, type UserId } from '../../src/protocol/identifiers.ts'
import { type JsonObject, isJsonObject } from '../../src/protocol/json.ts'
import { type RoomVersion, roomVersions } from '../../src/protocol/room-versions.ts'
import { StateMap } from '../../src/protocol/state-map.ts'
import { NaiveResolution } from './naive-resolution.ts'
import { RoomFixture, alice, bob, carol, dave, erin, frank } from './room-fixture.ts'

const people = [alice, bob, carol, dave, erin, frank] as const
const levels = [0, 0, 25, 50, 50, 99, 100]
const joinRules = ['public', 'public', 'invite', 'knock', 'restricted']
const kinds = [
  ...['join', 'join', 'join', 'leave', 'invite', 'ban', 'ban', 'kick', 'kick', 'unban', 'knock'],
  ...[
    'levels',
    'levels',
    'levels',
    'levels',
    'join_rules',
    'join_rules',
    'topic',
    'topic',
    'name',
    'third_party_invite',
  ],
  'message',
] as const

/** One event to try, in small numbers that mean something only in the room that has been made so far. */
interface Step {
  readonly kind: (typeof kinds)[number]
  readonly actor: number
  readonly target: number
  readonly level: number
  /** How far back the previous events lie: 1 is the last one. */
  readonly previous: readonly number[]
  /** Few values, so that there are ties. */
  readonly timestamp: number
  /** Below 5: the event is rejected for no reason that the rules know. */
  readonly rejection: number
  /** Below 15: the server claims a state with an older entry, as after a partial synchronisation (MSC4297). */
  readonly staleness: number
  /** Below 15: the event cites auth events from an earlier state than its own. */
  readonly staleAuth: number
  readonly choice: number
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...kinds),
  actor: fc.nat(11),
  target: fc.nat(5),
  level: fc.nat(levels.length - 1),
  previous: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
  timestamp: fc.nat(4),
  rejection: fc.nat(99),
  staleness: fc.nat(99),
  staleAuth: fc.nat(99),
  choice: fc.nat(1_000),
})

/** What a room is made from, and which of its states are to be resolved. */
export interface Script {
  readonly version: RoomVersion
  readonly steps: readonly Step[]
  readonly tips: readonly number[]
}

export const scripts: fc.Arbitrary<Script> = fc.record({
  version: fc.constantFrom(...roomVersions),
  steps: fc.array(step, { minLength: 8, maxLength: 45, size: 'max' }),
  tips: fc.array(fc.nat(20), { minLength: 2, maxLength: 4 }),
})

/** A room's events with the state after each, and the states to be resolved. */
export interface Dag {
  readonly version: RoomVersion
  readonly events: ReadonlyMap<EventId, Event>
  readonly rejected: ReadonlySet<EventId>
  readonly stateSets: readonly StateMap<EventId>[]
  readonly create: EventId
}

interface Node {
  readonly event: Event
  readonly after: StateMap<EventId>
}

/** Makes the room of a script. What a server would refuse becomes a rejected event or nothing. */
export function buildDag({ version, steps, tips }: Script): Dag {
  const room = new RoomFixture(version, version.privilegedCreators ? { additional_creators: [bob] } : {})
  const rejected = new Set<EventId>()
  const nodes: Node[] = [{ event: room.create, after: new StateMap([['m.room.create', '', room.create.eventId]]) }]
  const stateOf = (ids: StateMap<EventId>): StateMap<Event> =>
    new StateMap(
      [...ids].flatMap(([type, key, id]) => {
        const event = room.events.get(id)
        return event === undefined ? [] : [[type, key, event] as [string, string, Event]]
      }),
    )

  const grow = (draft: Draft, previous: readonly Node[], taken: Step | null): void => {
    const before = resolveNaively(previous.map(({ after }) => after))
    const state = stateOf(before)
    const authState = taken !== null && taken.staleAuth < 15 ? stateOf(at(nodes, taken.choice).after) : state
    for (const [type, key] of [...room.state]) room.state.delete(type, key)
    for (const [type, key, event] of authState) room.state.set(type, key, event)
    const count = nodes.length
    const event = room.event({
      ...draft,
      name: `e${String((count * 7_919) % 1_009)}x${String(count)}`,
      originServerTs: 1_000 + Math.floor(count / 4) + (taken?.timestamp ?? 0),
      depth: 1 + Math.max(...previous.map(node => node.event.depth)),
      prevEvents: previous.map(node => node.event.eventId),
    })
    const cited = new StateMap<Event>([['m.room.create', '', room.create]])
    for (const id of event.authEvents) {
      const other = room.events.get(id)
      if (other !== undefined && other.stateKey !== null) cited.set(other.type, other.stateKey, other)
    }
    const options = { isSignedBy: () => true }
    const isAllowed =
      authorise(event, cited, version, options).allowed && authorise(event, state, version, options).allowed
    const isRejected = !isAllowed || (taken !== null && taken.rejection < 5)
    if (!isAllowed && taken !== null && taken.rejection % 4 !== 0) return
    const after = new StateMap<EventId>(before)
    if (isRejected) rejected.add(event.eventId)
    else if (event.stateKey !== null) after.set(event.type, event.stateKey, event.eventId)
    if (taken !== null && taken.staleness < 15) forget(after, taken)
    nodes.push({ event, after })
  }

  const resolveNaively = (states: readonly StateMap<EventId>[]): StateMap<EventId> =>
    new NaiveResolution(version, room.events, rejected).resolve(states)

  /** Puts an older accepted event in place of one of the state's. */
  const forget = (state: StateMap<EventId>, { choice }: Step): void => {
    const [type, stateKey, current] = at([...state], choice)
    const older = nodes
      .map(({ event }) => event)
      .filter(event => {
        return (
          event.type === type &&
          event.stateKey === stateKey &&
          event.eventId !== current &&
          !rejected.has(event.eventId)
        )
      })
    if (older.length > 0) state.set(type, stateKey, at(older, choice).eventId)
  }

  const member = (sender: UserId, target: UserId, membership: string): Draft => ({
    type: 'm.room.member',
    sender,
    stateKey: target,
    content: { membership },
  })
  const start: Draft[] = [
    member(alice, alice, 'join'),
    {
      type: 'm.room.power_levels',
      stateKey: '',
      content: { users: version.privilegedCreators ? {} : { [alice]: 100 } },
    },
    { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } },
    member(bob, bob, 'join'),
    member(carol, carol, 'join'),
  ]
  for (const draft of start) grow(draft, nodes.slice(-1), null)
  for (const taken of steps) {
    const previous = [...new Set(taken.previous.map(back => at(nodes, Math.max(nodes.length - back, 5))))]
    const before = stateOf(resolveNaively(previous.map(({ after }) => after)))
    grow(draftOf(taken, before, version), previous, taken)
  }
  const recent = nodes.slice(5)
  const stateSets = tips.map(tip => at(recent.length > 0 ? recent : nodes, tip).after)
  return { version, events: room.events, rejected, stateSets, create: room.create.eventId }
}

interface Draft {
  readonly type: string
  readonly sender?: UserId
  readonly stateKey?: string | null
  readonly content?: JsonObject
}

function draftOf(step: Step, state: StateMap<Event>, version: RoomVersion): Draft {
  // Half of the events come from those who have the most power, or hardly any would be of consequence.
  const sender = step.actor > 5 ? at([alice, alice, bob], step.actor) : at(people, step.actor)
  const target = at(people, step.target)
  const membership = (who: UserId, value: string, extra: JsonObject = {}): Draft => ({
    type: 'm.room.member',
    sender,
    stateKey: who,
    content: { membership: value, ...extra },
  })
  switch (step.kind) {
    case 'join':
      return membership(sender, 'join', step.choice % 3 === 0 ? { join_authorised_via_users_server: alice } : {})
    case 'knock':
      return membership(sender, 'knock')
    case 'leave':
      return membership(sender, 'leave')
    case 'kick':
    case 'unban':
      return membership(target, 'leave')
    case 'invite':
    case 'ban':
      return membership(target, step.kind)
    case 'levels': {
      const content = state.get('m.room.power_levels', '')?.content ?? {}
      const level = at(levels, step.level)
      if (step.choice % 5 === 0)
        return { type: 'm.room.power_levels', sender, stateKey: '', content: { ...content, kick: level } }
      const users: JsonObject = { ...(isJsonObject(content['users']) ? content['users'] : {}), [target]: level }
      if (version.privilegedCreators) for (const creator of [alice, bob]) Reflect.deleteProperty(users, creator)
      return { type: 'm.room.power_levels', sender, stateKey: '', content: { ...content, users } }
    }
    case 'join_rules':
      return { type: 'm.room.join_rules', sender, stateKey: '', content: { join_rule: at(joinRules, step.choice) } }
    case 'topic':
    case 'name':
      return { type: `m.room.${step.kind}`, sender, stateKey: '', content: { value: step.choice } }
    case 'third_party_invite':
      return { type: 'm.room.third_party_invite', sender, stateKey: 'token' }
    case 'message':
      return { type: 'm.room.message', sender }
  }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length]
  if (found === undefined) throw new Error('the list is empty')
  return found
}
