import { authEventsFor } from '../../src/protocol/auth/auth-events.ts'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId, type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type RoomVersion, roomVersion } from '../../src/protocol/room-versions.ts'
import { StateMap } from '../../src/protocol/state-map.ts'

// The users of all rooms in these tests. The casts hold: they are user IDs.
export const alice = '@alice:one.example' as UserId
export const bob = '@bob:two.example' as UserId
export const carol = '@carol:three.example' as UserId
export const dave = '@dave:two.example' as UserId
export const erin = '@erin:three.example' as UserId
export const frank = '@frank:four.example' as UserId

/** The room version of that name; throws if there is none. */
export function version(id: string): RoomVersion {
  const found = roomVersion(id)
  if (found === null) throw new Error(`no room version ${id}`)
  return found
}

/** What an event differs in from a default one. */
export interface Draft {
  readonly type: string
  readonly sender?: UserId
  readonly stateKey?: string | null
  readonly content?: JsonObject
  /** What the event's ID is made from; by default a number. */
  readonly name?: string
  readonly authEvents?: readonly EventId[]
  readonly prevEvents?: readonly EventId[]
  readonly originServerTs?: number
  readonly depth?: number
  readonly redacts?: EventId | null
  readonly roomId?: RoomId
  readonly pdu?: JsonObject
}

/** A room without signatures and hashes: events are made as the test wants them, lawful or not. */
export class RoomFixture {
  readonly version: RoomVersion
  readonly roomId: RoomId
  readonly create: Event
  /** The state against which events are authorised and from which their auth events are picked. */
  readonly state = new StateMap<Event>()
  readonly events = new Map<EventId, Event>()
  #count = 0
  #last: Event

  constructor(roomVersion: RoomVersion, createContent: JsonObject = {}) {
    this.version = roomVersion
    // Both are room IDs; in version 12 it is the create event's ID with another sigil.
    this.roomId = (roomVersion.roomIdIsCreateHash ? '!create' : '!room:one.example') as RoomId
    this.create = this.event({
      type: 'm.room.create',
      stateKey: '',
      name: 'create',
      content: {
        room_version: roomVersion.id,
        ...(roomVersion.implicitRoomCreator ? {} : { creator: alice }),
        ...createContent,
      },
      prevEvents: [],
      authEvents: [],
    })
    this.#last = this.create
    this.put(this.create)
  }

  /** The ID of the event of that name: `$name`, or `$name:server` where servers choose IDs. */
  idOf(name: string, sender: UserId = alice): EventId {
    const server = sender.slice(sender.indexOf(':'))
    // Both forms are event IDs.
    return (this.version.eventIdFormat === 'chosen' ? `$${name}${server}` : `$${name}`) as EventId
  }

  /** An event that the room has not taken: after its last one, with the auth events that its state offers. */
  event(draft: Draft): Event {
    const { type, sender = alice, stateKey = null, content = {} } = draft
    const count = this.#count++
    const event: Event = {
      eventId: this.idOf(draft.name ?? `event${String(count)}`, sender),
      roomId: draft.roomId ?? this.roomId,
      type,
      stateKey,
      sender,
      content,
      originServerTs: draft.originServerTs ?? 1_000 + count,
      depth: draft.depth ?? count + 1,
      authEvents: draft.authEvents ?? this.authEventIds({ type, sender, stateKey, content }),
      prevEvents: draft.prevEvents ?? [this.#last.eventId],
      redacts: draft.redacts ?? null,
      pdu: draft.pdu ?? (type === 'm.room.create' && this.version.roomIdIsCreateHash ? {} : { room_id: this.roomId }),
    }
    this.events.set(event.eventId, event)
    return event
  }

  /** Makes the event part of the state, whatever the rules say, and the last one of the room. */
  put(event: Event): Event {
    if (event.stateKey !== null) this.state.set(event.type, event.stateKey, event)
    this.#last = event
    return event
  }

  send(draft: Draft): Event {
    return this.put(this.event(draft))
  }

  member(user: UserId, membership: string, sender: UserId = user, extra: JsonObject = {}): Event {
    return this.send({ type: 'm.room.member', sender, stateKey: user, content: { membership, ...extra } })
  }

  levels(content: JsonObject, sender: UserId = alice): Event {
    return this.send({ type: 'm.room.power_levels', sender, stateKey: '', content })
  }

  joinRule(rule: string, sender: UserId = alice): Event {
    return this.send({ type: 'm.room.join_rules', sender, stateKey: '', content: { join_rule: rule } })
  }

  /** The levels of alice (unless creators are privileged and must not be named) and of others. */
  users(levels: JsonObject): JsonObject {
    return this.version.privilegedCreators ? levels : { [alice]: 100, ...levels }
  }

  /** The IDs of the auth events that the room's state has for such an event. */
  authEventIds(draft: { type: string; sender: UserId; stateKey: string | null; content: JsonObject }): EventId[] {
    return authEventsFor(draft, this.version).flatMap(
      ([type, stateKey]) => this.state.get(type, stateKey)?.eventId ?? [],
    )
  }

  /** The room's state as IDs. */
  stateIds(): StateMap<EventId> {
    return new StateMap([...this.state].map(([type, stateKey, event]) => [type, stateKey, event.eventId]))
  }
}

/**
 * A room in which alice, the creator, has level 100 (or, in version 12, all power), bob has 50 and carol has none. Dave
 * is invited, erin is banned, frank has never been there. The join rule is `public`.
 */
export function populatedRoom(roomVersion: RoomVersion, createContent: JsonObject = {}): RoomFixture {
  const room = new RoomFixture(roomVersion, createContent)
  room.member(alice, 'join')
  room.levels({ users: room.users({ [bob]: 50 }) })
  room.joinRule('public')
  room.member(bob, 'join')
  room.member(carol, 'join')
  room.member(dave, 'invite', alice)
  room.member(erin, 'ban', alice)
  return room
}
