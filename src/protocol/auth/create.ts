import { type Event, type Verdict, allowed } from '../event.ts'
import { parseUserId, serverNameOf, serverNameOfRoom } from '../identifiers.ts'
import { type RoomVersion } from '../room-versions.ts'
import { refuse } from './rules.ts'

/** Rule 1: `m.room.create`. It rests on no state at all. https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules */
export function authoriseCreate(event: Event, version: RoomVersion): Verdict {
  // v1–v12 1.1. A create event with another state key could never be the room's.
  if (event.prevEvents.length > 0) return refuse(version, 'create.prev_events', 'it has previous events')
  if (event.stateKey !== '') return refuse(version, 'create.prev_events', 'its state key is not empty')

  if (version.roomIdIsCreateHash) {
    // v12 1.2
    if (Object.hasOwn(event.pdu, 'room_id')) return refuse(version, 'create.room_id', 'it has a room ID')
  } else {
    // v1–v11 1.2
    if (serverNameOfRoom(event.roomId) !== serverNameOf(event.sender)) {
      return refuse(version, 'create.room_id', 'the room is not of its sender’s server')
    }
  }

  // v1–v12 1.3. Absent means version 1; a version other than the one whose rules these are is not recognised here.
  const declared = event.content['room_version']
  if ((declared === undefined ? '1' : declared) !== version.id) {
    return refuse(version, 'create.room_version', 'it is of another room version')
  }

  // v1–v10 1.4
  if (!version.implicitRoomCreator && !Object.hasOwn(event.content, 'creator')) {
    return refuse(version, 'create.creator', 'it names no creator')
  }

  // v12 1.4
  const additional = event.content['additional_creators']
  if (version.privilegedCreators && additional !== undefined) {
    const isValid =
      Array.isArray(additional) && additional.every(user => typeof user === 'string' && parseUserId(user) !== null)
    if (!isValid) return refuse(version, 'create.additional_creators', 'additional_creators are not user IDs')
  }
  // v1–v10 1.5, v11 1.4, v12 1.5
  return allowed
}
