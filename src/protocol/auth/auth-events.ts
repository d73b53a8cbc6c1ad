import { type Event, type Verdict, allowed } from '../event.ts'
import { type EventId } from '../identifiers.ts'
import { type JsonObject, type JsonValue, isJsonObject } from '../json.ts'
import { type RoomVersion } from '../room-versions.ts'
import { StateMap } from '../state-map.ts'
import { refuse } from './rules.ts'

/** As much of an event as the selection of its auth events reads; a draft that has no ID yet will do. */
export interface AuthSubject {
  readonly type: string
  /** `null` for an event that is not a state event. */
  readonly stateKey: string | null
  readonly sender: string
  readonly content: JsonObject
}

/** A place in a room's state. */
export type StateKeyPair = readonly [type: string, stateKey: string]

/**
 * The auth events selection algorithm: which entries of the room's state, as far as they exist, an event must cite as
 * its `auth_events`. Each pair comes once. Room version 12 cites no create event, but its rules still look it up.
 * https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
 */
export function authEventsFor(event: AuthSubject, version: RoomVersion): readonly StateKeyPair[] {
  if (event.type === 'm.room.create') return []
  const selection: StateKeyPair[] = version.roomIdIsCreateHash ? [] : [['m.room.create', '']]
  selection.push(['m.room.power_levels', ''], ['m.room.member', event.sender])
  if (event.type !== 'm.room.member') return selection

  const membership = event.content['membership']
  if (event.stateKey !== null && event.stateKey !== event.sender) selection.push(['m.room.member', event.stateKey])
  if (membership === 'join' || membership === 'invite' || membership === 'knock') {
    selection.push(['m.room.join_rules', ''])
  }
  if (membership === 'invite') {
    const token = thirdPartyInviteToken(event.content['third_party_invite'])
    if (token !== null) selection.push(['m.room.third_party_invite', token])
  }
  if (membership === 'join' && version.restrictedJoins) {
    const authorisingUser = event.content['join_authorised_via_users_server']
    if (typeof authorisingUser === 'string' && authorisingUser !== event.sender && authorisingUser !== event.stateKey) {
      selection.push(['m.room.member', authorisingUser])
    }
  }
  return selection
}

function thirdPartyInviteToken(thirdPartyInvite: JsonValue | undefined): string | null {
  const signed = isJsonObject(thirdPartyInvite) ? thirdPartyInvite['signed'] : null
  const token = isJsonObject(signed) ? signed['token'] : null
  return typeof token === 'string' ? token : null
}

/**
 * The rule "considering the event's `auth_events`" (2; in room version 12, 3). `authEvents` are the events that the
 * event cites, all of them and no others; one that could not be had must be fetched before, so its absence refuses.
 */
export function checkAuthEventsSelection(
  event: Event,
  authEvents: readonly Event[],
  rejected: ReadonlySet<EventId>,
  version: RoomVersion,
): Verdict {
  // Rule 1 decides on a create event before this rule is reached; it rests on nothing.
  if (event.type === 'm.room.create') return allowed

  const cited = new Set(event.authEvents)
  const given = new Set(authEvents.map(authEvent => authEvent.eventId))
  if (cited.size !== given.size || [...given].some(id => !cited.has(id))) {
    return refuse(version, 'auth_events.selection', 'not all of the auth events are at hand')
  }

  const selection = new StateMap<StateKeyPair>()
  for (const pair of authEventsFor(event, version)) selection.set(...pair, pair)
  const seen = new StateMap<EventId>()
  // v1–v11 2.1, v12 3.1
  if (cited.size !== event.authEvents.length) {
    return refuse(version, 'auth_events.duplicate', 'an auth event is cited twice')
  }
  for (const authEvent of authEvents) {
    const { type, stateKey, eventId } = authEvent
    // v1–v11 2.1, v12 3.1
    if (stateKey !== null && seen.has(type, stateKey)) {
      return refuse(version, 'auth_events.duplicate', 'two auth events have the same type and state key')
    }
    // v1–v11 2.2, v12 3.2: in version 12 the create event is outside of the selection
    if (stateKey === null || !selection.has(type, stateKey)) {
      return refuse(version, 'auth_events.selection', 'an auth event is not of the selection')
    }
    seen.set(type, stateKey, eventId)
    // v1–v11 2.3, v12 3.3
    if (rejected.has(eventId)) return refuse(version, 'auth_events.rejected', 'an auth event was rejected')
  }
  // v1–v11 2.4
  if (!version.roomIdIsCreateHash && !seen.has('m.room.create', '')) {
    return refuse(version, 'auth_events.create', 'the create event is not among the auth events')
  }
  // v1–v11 2.5, v12 3.4 (MSC4307)
  if (authEvents.some(authEvent => authEvent.roomId !== event.roomId)) {
    return refuse(version, 'auth_events.room', 'an auth event is of another room')
  }
  return allowed
}

/**
 * The state for the check of an event "based on the event's auth events" (step 4 of the checks on receipt): the auth
 * events themselves and, in room version 12, which does not cite it, the room's create event. Leave out a create event
 * that was rejected. https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export function stateOfAuthEvents(
  authEvents: readonly Event[],
  create: Event | null,
  version: RoomVersion,
): StateMap<Event> {
  const state = new StateMap<Event>()
  if (version.roomIdIsCreateHash && create !== null) state.set('m.room.create', '', create)
  for (const authEvent of authEvents) {
    if (authEvent.stateKey !== null) state.set(authEvent.type, authEvent.stateKey, authEvent)
  }
  return state
}
