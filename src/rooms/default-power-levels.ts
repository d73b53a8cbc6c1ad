import { type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'

/** The level of those who run a room, and of the settings that can undo it. */
const administratorLevel = 100
/** In version 12 a tombstone takes more than anybody has but the creators, unless they give it. */
const tombstoneLevelWithCreators = 150

/**
 * The content of a new room's `m.room.power_levels`. `administrators` get 100 and must not be creators of a room whose
 * version gives those infinite power. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export function defaultPowerLevels(
  version: RoomVersion,
  administrators: readonly UserId[],
  inviteLevel: number,
): JsonObject {
  return {
    users: Object.fromEntries(administrators.map(userId => [userId, administratorLevel])),
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.avatar': 50,
      'm.room.canonical_alias': 50,
      'm.room.power_levels': administratorLevel,
      'm.room.history_visibility': administratorLevel,
      'm.room.encryption': administratorLevel,
      'm.room.server_acl': administratorLevel,
      'm.room.tombstone': version.privilegedCreators ? tombstoneLevelWithCreators : administratorLevel,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: inviteLevel,
    historical: administratorLevel,
  }
}
