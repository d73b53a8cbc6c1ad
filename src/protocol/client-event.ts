import { type Event } from './event.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/** What a server says of an event beside what its sender said. */
export interface ClientEventExtras {
  /**
   * `age`, `transaction_id`, `prev_content`, `replaces_state`, `membership`, `redacted_because`, `m.relations` …:
   * what this viewer may see. Left out of the result if it is empty.
   */
  readonly unsigned?: JsonObject
}

/**
 * An event in the format for clients and appservices: only the keys that they are to have, none of the PDU's own.
 * @param withRoomId false where the answer tells the room in another place, as in `/sync`.
 * @returns a new object that shares `content` with the event; do not change it.
 * https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
export function clientEvent(event: Event, extras: ClientEventExtras, withRoomId: boolean): JsonObject {
  const result: JsonObject = {
    content: event.content,
    event_id: event.eventId,
    origin_server_ts: event.originServerTs,
    sender: event.sender,
    type: event.type,
  }
  if (event.stateKey !== null) result.state_key = event.stateKey
  if (withRoomId) result.room_id = event.roomId
  if (event.type === 'm.room.redaction' && event.redacts !== null) {
    // Room version 11: servers should add it "to the top level … when serving such events over the Client-Server API",
    // and "to the `content` of `m.room.redaction` events in *older* room versions".
    result.redacts = event.redacts
    if (event.content.redacts !== event.redacts) result.content = { ...event.content, redacts: event.redacts }
  }
  if (extras.unsigned && Object.keys(extras.unsigned).length > 0) result.unsigned = extras.unsigned
  return result
}

/** An event as servers exchange it, for clients whose filter asks for `event_format: federation`. */
export function federationFormatEvent(event: Event, extras: ClientEventExtras): JsonObject {
  const { unsigned } = extras
  return unsigned && Object.keys(unsigned).length > 0 ? { ...event.pdu, unsigned } : event.pdu
}

/**
 * The types of state that invites, knocks and room previews carry, each with the state key `''`. Beside them goes the
 * member event of whoever invites. https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export const strippedStateTypes = [
  'm.room.create',
  'm.room.join_rules',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.canonical_alias',
  'm.room.encryption',
] as const

/** A state event with nothing but `content`, `sender`, `state_key` and `type`; `null` if it is not a state event. */
export function strippedEvent(event: Event): JsonObject | null {
  if (event.stateKey === null) return null
  return { content: event.content, sender: event.sender, state_key: event.stateKey, type: event.type }
}

/**
 * Prunes an entry of another server's `invite_room_state` or `knock_room_state`, which since v1.16 is a whole PDU, to a
 * stripped state event: "Servers cannot pass through what they receive over federation". `null` if it cannot be one.
 */
export function pruneToStripped(entry: JsonValue): JsonObject | null {
  if (!isJsonObject(entry)) return null
  const { content, sender, state_key, type } = entry
  if (!isJsonObject(content) || typeof sender !== 'string') return null
  if (typeof state_key !== 'string' || typeof type !== 'string') return null
  return { content, sender, state_key, type }
}
