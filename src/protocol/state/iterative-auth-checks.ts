import { type AuthState, type AuthoriseOptions } from '../auth/auth-state.ts'
import { authorise } from '../auth/authorise.ts'
import { type Event } from '../event.ts'
import { type EventId } from '../identifiers.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type ReadonlyStateMap, StateMap } from '../state-map.ts'
import { type RecordingSource } from './source.ts'

/**
 * Whatever gets as far as a room's state or an auth chain had its signatures verified on receipt, and nothing about
 * them depends on the state; so a resolution takes them as given.
 */
export const verifiedOnReceipt: AuthoriseOptions = { isSignedBy: () => true }

/**
 * The create event of an event's room: cited among its auth events or, from room version 12 on, named by the room's ID.
 * `undefined` for a create event of earlier versions, which cites nothing.
 */
export function createEventOf(event: Event, version: RoomVersion, source: RecordingSource): Event | undefined {
  // In these versions the room's ID is the create event's ID with another sigil.
  if (version.roomIdIsCreateHash) return source.get(`$${event.roomId.slice(1)}` as EventId)
  return event.authEvents
    .map(id => source.get(id))
    .find(cited => cited?.type === 'm.room.create' && cited.stateKey === '')
}

/**
 * The iterative auth checks algorithm: applies each event in turn to the state if the rules allow it there. The state is
 * `base` with `resolved` on top; `resolved` is changed. What neither has is taken from the event's own auth events.
 * Rejected events are never applied and authorise nothing, wherever they stand: once rejected, for good (CVE-2022-39374).
 * https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function applyAuthorised(
  events: readonly Event[],
  resolved: StateMap<EventId>,
  base: ReadonlyStateMap<EventId>,
  version: RoomVersion,
  source: RecordingSource,
): void {
  const accepted = (id: EventId | undefined): Event | undefined =>
    id === undefined || source.isRejected(id) ? undefined : source.get(id)

  for (const event of events) {
    if (event.stateKey === null || source.isRejected(event.eventId)) continue
    const cited = new StateMap<Event>()
    for (const id of event.authEvents) {
      const authEvent = accepted(id)
      if (authEvent === undefined || authEvent.stateKey === null || authEvent.roomId !== event.roomId) continue
      cited.set(authEvent.type, authEvent.stateKey, authEvent)
    }
    const state: AuthState = {
      get(type, stateKey) {
        const known = accepted(resolved.get(type, stateKey) ?? base.get(type, stateKey)) ?? cited.get(type, stateKey)
        if (known !== undefined || type !== 'm.room.create' || stateKey !== '') return known
        return accepted(createEventOf(event, version, source)?.eventId)
      },
    }
    if (authorise(event, state, version, verifiedOnReceipt).allowed)
      resolved.set(event.type, event.stateKey, event.eventId)
  }
}
