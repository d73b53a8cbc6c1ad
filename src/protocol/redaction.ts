import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { type RoomVersion } from './room-versions.ts'

const keptSinceVersion11: readonly string[] = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
]
const keptBeforeVersion11: readonly string[] = [...keptSinceVersion11, 'prev_state', 'origin', 'membership']

const powerLevelKeys: readonly string[] = [
  'ban',
  'events',
  'events_default',
  'kick',
  'redact',
  'state_default',
  'users',
  'users_default',
]

/**
 * The event as a redaction leaves it, by the algorithm of its room version; the PDU given is not changed, and values
 * that are kept are shared with it. This is also the form that signatures and reference hashes cover. Redacting twice
 * is the same as once. https://spec.matrix.org/v1.19/rooms/v11/#redactions and its like for each version
 */
export function redactPdu(pdu: JsonObject, version: RoomVersion): JsonObject {
  const redacted = pick(pdu, version.updatedRedactionRules ? keptSinceVersion11 : keptBeforeVersion11)
  redacted['content'] = redactContent(own(pdu, 'type'), own(pdu, 'content'), version)
  return redacted
}

function redactContent(type: JsonValue | undefined, content: JsonValue | undefined, version: RoomVersion): JsonObject {
  if (!isJsonObject(content)) return {}
  switch (type) {
    case 'm.room.member':
      return redactMembership(content, version)
    case 'm.room.create':
      return version.updatedRedactionRules ? content : pick(content, ['creator'])
    case 'm.room.join_rules':
      return pick(content, version.restrictedJoins ? ['join_rule', 'allow'] : ['join_rule'])
    case 'm.room.power_levels':
      return pick(content, version.updatedRedactionRules ? [...powerLevelKeys, 'invite'] : powerLevelKeys)
    case 'm.room.aliases':
      return version.specialAliasesRules ? pick(content, ['aliases']) : {}
    case 'm.room.history_visibility':
      return pick(content, ['history_visibility'])
    case 'm.room.redaction':
      return version.updatedRedactionRules ? pick(content, ['redacts']) : {}
    default:
      return {}
  }
}

function redactMembership(content: JsonObject, version: RoomVersion): JsonObject {
  const keys = ['membership']
  if (version.redactionKeepsAuthorisingUser) keys.push('join_authorised_via_users_server')
  const kept = pick(content, keys)
  const invite = own(content, 'third_party_invite')
  // Of `third_party_invite` only `signed` survives; an invite without it stays as an empty object, as at every peer.
  if (version.updatedRedactionRules && isJsonObject(invite)) kept['third_party_invite'] = pick(invite, ['signed'])
  return kept
}

/** A new object with those of the keys that the object has. The keys come from this file, so none of them is `__proto__`. */
function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  const picked: JsonObject = {}
  for (const key of keys) {
    const value = own(object, key)
    if (value !== undefined) picked[key] = value
  }
  return picked
}

function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
