import { type Event, type Verdict, allowed } from '../event.ts'
import { serverNameOf } from '../identifiers.ts'
import { powerLevels } from '../power-levels.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type AuthState, type AuthoriseOptions, membershipOf } from './auth-state.ts'
import { authoriseCreate } from './create.ts'
import { authoriseMembership } from './membership.ts'
import { authorisePowerLevels } from './power-levels.ts'
import { authoriseRedaction } from './redaction.ts'
import { refuse } from './rules.ts'

/**
 * The authorisation rules of a room version, from its first to its last, on a given state: all but the rule on the
 * event's `auth_events`, which is `checkAuthEventsSelection`. The state must hold what `authEventsFor` selects and, in
 * every version, the create event; a state without it refuses all events but a create event. Rejected events have no
 * place in it. A verdict's `rule` names version and number, such as `v12 5.3.2`.
 * https://spec.matrix.org/v1.19/server-server-api/#authorisation-rules
 */
export function authorise(
  event: Event,
  state: AuthState,
  version: RoomVersion,
  options: AuthoriseOptions = {},
): Verdict {
  // v1–v12 1
  if (event.type === 'm.room.create') return authoriseCreate(event, version)

  const create = state.get('m.room.create', '')
  if (version.roomIdIsCreateHash) {
    // v12 2: the event ID of the create event, with another sigil
    if (!create || create.roomId !== event.roomId || create.eventId.slice(1) !== event.roomId.slice(1)) {
      return refuse(version, 'room_id', 'the room’s ID is not that of an accepted create event')
    }
  } else {
    // v1–v11 2.4, 2.5 on the state at hand
    if (!create) return refuse(version, 'auth_events.create', 'the room has no create event')
    if (create.roomId !== event.roomId)
      return refuse(version, 'auth_events.room', 'the create event is of another room')
  }

  // v1–v11 3, v12 4. Whatever is there and is not `true` closes the room.
  const federate = create.content['m.federate']
  if (federate !== undefined && federate !== true && serverNameOf(event.sender) !== serverNameOf(create.sender)) {
    return refuse(version, 'federate', 'the room is not federated')
  }

  // v1–v5 4
  if (version.specialAliasesRules && event.type === 'm.room.aliases') return authoriseAliases(event, version)

  // v1–v5, v12 5; v6–v11 4
  const power = powerLevels(state.get('m.room.power_levels', '')?.content ?? null, version, create)
  if (event.type === 'm.room.member') return authoriseMembership(event, create, state, power, version, options)

  // v1–v5, v12 6; v6–v11 5
  if (membershipOf(event.sender, state) !== 'join') return refuse(version, 'sender', 'the sender is not in the room')

  // v1–v5, v12 7; v6–v11 6
  const senderLevel = power.userLevel(event.sender)
  if (event.type === 'm.room.third_party_invite') {
    if (senderLevel >= power.invite) return allowed
    return refuse(version, 'third_party_invite', 'the sender may not invite')
  }

  // v1–v5, v12 8; v6–v11 7
  if (power.requiredLevel(event.type, event.stateKey !== null) > senderLevel) {
    return refuse(version, 'required_level', 'the sender’s power level is too low')
  }

  // v1–v5, v12 9; v6–v11 8
  if (event.stateKey?.startsWith('@') === true && event.stateKey !== event.sender) {
    return refuse(version, 'state_key', 'the state key is that of another user')
  }

  // v1–v5, v12 10; v6–v11 9
  if (event.type === 'm.room.power_levels') return authorisePowerLevels(event, create, state, power, version)

  // v1, v2 11
  if (version.redactionAuthRule && event.type === 'm.room.redaction') return authoriseRedaction(event, power, version)

  // v1, v2 12; v3–v5, v12 11; v6–v11 10
  return allowed
}

/** Rule 4 of room versions 1 to 5. https://spec.matrix.org/v1.19/rooms/v1/#authorisation-rules */
function authoriseAliases(event: Event, version: RoomVersion): Verdict {
  // v1–v5 4.1
  if (event.stateKey === null) return refuse(version, 'aliases.state_key', 'it has no state key')
  // v1–v5 4.2
  if (event.stateKey !== serverNameOf(event.sender)) {
    return refuse(version, 'aliases.domain', 'the state key is not the sender’s server')
  }
  // v1–v5 4.3
  return allowed
}
