import { type Event, type Verdict, allowed, refused } from '../event.ts'
import { serverNameOf, serverNameOfEvent } from '../identifiers.ts'
import { type PowerLevels, powerLevels } from '../power-levels.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type AuthState } from './auth-state.ts'
import { refuse } from './rules.ts'

/**
 * Rule 11 of room versions 1 and 2: who may send an `m.room.redaction`. Later versions take it like any other event and
 * ask `mayRedact` when they come to apply it. https://spec.matrix.org/v1.19/rooms/v1/#authorisation-rules
 */
export function authoriseRedaction(event: Event, power: PowerLevels, version: RoomVersion): Verdict {
  // v1, v2 11.1
  if (power.userLevel(event.sender) >= power.redact) return allowed
  // v1, v2 11.2
  const server = serverNameOfEvent(event.eventId)
  if (server !== null && event.redacts !== null && server === serverNameOfEvent(event.redacts)) return allowed
  // v1, v2 11.3
  return refuse(version, 'redaction.otherwise', 'the sender may not redact events of other servers')
}

/**
 * Whether a redaction that the rules have let into the room takes effect on its target. `state` is the room's state at
 * the redaction (as for `authorise`). To be asked when both events are there, whichever came first.
 * Room versions 1 and 2: https://spec.matrix.org/v1.19/rooms/v1/#authorisation-rules (rule 11);
 * later ones: https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions
 */
export function mayRedact(redaction: Event, target: Event, state: AuthState, version: RoomVersion): Verdict {
  if (redaction.type !== 'm.room.redaction' || redaction.redacts !== target.eventId) {
    return refused('handling-redactions', 'the event does not redact that one')
  }
  if (redaction.roomId !== target.roomId) return refused('handling-redactions', 'the event is of another room')
  const create = state.get('m.room.create', '')
  if (!create) return refused('handling-redactions', 'the room has no create event')

  const power = powerLevels(state.get('m.room.power_levels', '')?.content ?? null, version, create)
  if (version.redactionAuthRule) return authoriseRedaction(redaction, power, version)
  // v3–v12 handling redactions, 1
  if (power.userLevel(redaction.sender) >= power.redact) return allowed
  // v3–v12 handling redactions, 2
  if (serverNameOf(redaction.sender) === serverNameOf(target.sender)) return allowed
  return refused('handling-redactions', 'the sender may not redact events of other servers')
}
