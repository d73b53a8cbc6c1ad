import { type EventId, type RoomId } from '../../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../../src/protocol/json.ts'
import { type Draft, type RoomFixture, alice, bob, carol, dave, erin, frank } from '../room-fixture.ts'
import { type Attempt, type RuleCase, attempt, member } from './case.ts'

function create(change: Partial<Draft>, without: string[] = []): (room: RoomFixture) => Attempt {
  return room => {
    const content: JsonObject = { ...room.create.content }
    for (const key of without) Reflect.deleteProperty(content, key)
    const { content: added, ...rest } = change
    const event = room.event({
      type: 'm.room.create',
      stateKey: '',
      prevEvents: [],
      content: { ...content, ...added },
      ...rest,
    })
    return { event }
  }
}

/** The rule on create events, and that a room has one. */
export const createCases: RuleCase[] = [
  { rule: 'create.prev_events', passes: create({}), refuses: create({ prevEvents: ['$before' as EventId] }) },
  {
    rule: 'create.room_id',
    passes: create({}),
    refuses: room =>
      room.version.roomIdIsCreateHash
        ? create({ pdu: { room_id: room.roomId } })(room)
        : create({ roomId: '!room:two.example' as RoomId })(room),
  },
  {
    rule: 'create.room_version',
    // Version 1 is what a create event without a version means.
    passes: room => create({}, room.version.id === '1' ? ['room_version'] : [])(room),
    refuses: create({ content: { room_version: '99' } }),
  },
  { rule: 'create.creator', passes: create({}), refuses: create({}, ['creator']) },
  {
    rule: 'create.additional_creators',
    passes: create({ content: { additional_creators: [bob, carol] } }),
    refuses: create({ content: { additional_creators: [bob, 'carol'] } }),
  },
  {
    rule: 'create.otherwise',
    passes: create({}),
    refuses: create({ prevEvents: ['$before' as EventId] }),
    refusedBy: 'create.prev_events',
  },
  {
    rule: 'room_id',
    passes: attempt({ type: 'm.room.message' }),
    refuses: attempt({ type: 'm.room.message', roomId: '!other' as RoomId }),
  },
]

const topic: Draft = { type: 'm.room.topic', stateKey: '', content: { topic: 'Lethe' } }
function citing(change: (ids: EventId[], room: RoomFixture) => EventId[]): (room: RoomFixture) => Attempt {
  return room => {
    const authEvents = change([...room.event(topic).authEvents], room)
    return { event: room.event({ ...topic, authEvents }) }
  }
}
const asSelected = citing(ids => ids)

/** The rule on an event's `auth_events`. */
export const authEventsCases: RuleCase[] = [
  {
    rule: 'auth_events.duplicate',
    onAuthEvents: true,
    passes: asSelected,
    refuses: citing((ids, room) => [...ids, room.levels({}).eventId]),
  },
  {
    rule: 'auth_events.selection',
    onAuthEvents: true,
    passes: asSelected,
    // In version 12, that the create event is out of place is the rule's whole point.
    refuses: citing((ids, room) => [
      ...ids,
      room.version.roomIdIsCreateHash
        ? room.create.eventId
        : room.event({ type: 'm.room.topic', stateKey: '' }).eventId,
    ]),
  },
  {
    rule: 'auth_events.rejected',
    onAuthEvents: true,
    passes: asSelected,
    refuses: room => {
      const { event } = asSelected(room)
      return { event, rejected: event.authEvents.slice(-1) }
    },
  },
  {
    rule: 'auth_events.create',
    onAuthEvents: true,
    passes: asSelected,
    refuses: citing((ids, room) => ids.filter(id => id !== room.create.eventId)),
  },
  {
    rule: 'auth_events.room',
    onAuthEvents: true,
    passes: asSelected,
    refuses: citing((ids, room) => {
      const own = room.state.get('m.room.member', alice)?.eventId
      const elsewhere = room.event({ ...member(alice, 'join', alice), roomId: '!elsewhere:one.example' as RoomId })
      return [...ids.filter(id => id !== own), elsewhere.eventId]
    }),
  },
]

/** The rules on the room and on events that are neither memberships nor power levels. */
export const roomCases: RuleCase[] = [
  {
    rule: 'federate',
    passes: room => {
      const event = room.event({ ...member(alice, 'join', alice) })
      room.state.set('m.room.create', '', { ...room.create, content: { ...room.create.content, 'm.federate': false } })
      return { event }
    },
    refuses: room => {
      room.state.set('m.room.create', '', { ...room.create, content: { ...room.create.content, 'm.federate': false } })
      return { event: room.event({ type: 'm.room.message', sender: bob }) }
    },
  },
  {
    rule: 'aliases.state_key',
    passes: attempt({ type: 'm.room.aliases', sender: frank, stateKey: 'four.example' }),
    refuses: attempt({ type: 'm.room.aliases', sender: frank }),
  },
  {
    rule: 'aliases.domain',
    passes: attempt({ type: 'm.room.aliases', sender: frank, stateKey: 'four.example' }),
    refuses: attempt({ type: 'm.room.aliases', sender: frank, stateKey: 'one.example' }),
  },
  {
    rule: 'aliases.otherwise',
    passes: attempt({ type: 'm.room.aliases', sender: carol, stateKey: 'three.example' }),
    refuses: attempt({ type: 'm.room.topic', sender: carol, stateKey: 'three.example' }),
    refusedBy: 'required_level',
  },
  {
    rule: 'sender',
    passes: attempt({ type: 'm.room.message', sender: carol }),
    refuses: attempt({ type: 'm.room.message', sender: dave }),
  },
  {
    rule: 'third_party_invite',
    passes: room => {
      // The level for state events does not count, the invite level does.
      room.levels({ users: room.users({}), invite: 0, state_default: 50 })
      return { event: room.event({ type: 'm.room.third_party_invite', sender: carol, stateKey: 'token' }) }
    },
    refuses: room => {
      room.levels({ users: room.users({}), invite: 1, state_default: 0 })
      return { event: room.event({ type: 'm.room.third_party_invite', sender: carol, stateKey: 'token' }) }
    },
  },
  {
    rule: 'required_level',
    passes: attempt({ ...topic, sender: bob }),
    refuses: attempt({ ...topic, sender: carol }),
  },
  {
    rule: 'state_key',
    passes: attempt({ type: 'org.example.status', sender: bob, stateKey: bob }),
    refuses: attempt({ type: 'org.example.status', sender: bob, stateKey: carol }),
  },
  {
    rule: 'otherwise',
    passes: attempt({ type: 'm.room.message', sender: carol }),
    refuses: attempt({ type: 'm.room.message', sender: erin }),
    refusedBy: 'sender',
  },
  {
    rule: 'redaction.level',
    passes: attempt({ type: 'm.room.redaction', sender: bob, redacts: '$any:one.example' as EventId }),
    refuses: attempt({ type: 'm.room.redaction', sender: carol, redacts: '$any:one.example' as EventId }),
    refusedBy: 'redaction.otherwise',
  },
  {
    rule: 'redaction.domain',
    passes: attempt({ type: 'm.room.redaction', sender: carol, redacts: '$any:three.example' as EventId }),
    refuses: attempt({ type: 'm.room.redaction', sender: carol, redacts: '$any:two.example' as EventId }),
    refusedBy: 'redaction.otherwise',
  },
  {
    rule: 'redaction.otherwise',
    passes: attempt({ type: 'm.room.redaction', sender: carol, redacts: '$any:three.example' as EventId }),
    refuses: attempt({ type: 'm.room.redaction', sender: carol, redacts: null }),
  },
]
