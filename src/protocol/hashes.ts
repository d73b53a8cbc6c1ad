import { hash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'
import { type EventId, parseEventId, parseRoomId, type RoomId, serverNameOfEvent } from './identifiers.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { redactPdu } from './redaction.ts'
import { type RoomVersion } from './room-versions.ts'

/** Standard base64 without padding. https://spec.matrix.org/v1.19/appendices/#unpadded-base64 */
export function encodeBase64(bytes: Uint8Array): string {
  return withoutPadding(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'))
}

/** URL-safe base64 without padding. https://spec.matrix.org/v1.19/appendices/#url-safe-unpadded-base64 */
export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/**
 * The bytes of a base64 text in either alphabet, padded or not; `null` when a character, the length or the padding is
 * wrong. Node's own decoder would skip what it does not know.
 */
export function decodeBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return null
  const digits = withoutPadding(text)
  if (digits.length % 4 === 1) return null
  if (digits.length !== text.length && text.length % 4 !== 0) return null
  return new Uint8Array(Buffer.from(digits, 'base64'))
}

/**
 * The hash over the whole event, in unpadded base64: what belongs in `hashes.sha256`. Numbers are printed as they came,
 * which for an event that passed its version's format check is the canonical way.
 * https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event
 */
export function contentHash(pdu: JsonObject): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...hashed } = pdu
  return withoutPadding(hash('sha256', canonicalJson(hashed, 'lax'), 'base64'))
}

/**
 * True when the event's content hash is the one it claims. False means that only its redacted form may be believed.
 * https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function contentHashMatches(pdu: JsonObject): boolean {
  const hashes = pdu['hashes']
  if (!isJsonObject(hashes)) return false
  const claimed = hashes['sha256']
  if (typeof claimed !== 'string') return false
  const bytes = decodeBase64(claimed)
  return bytes !== null && encodeBase64(bytes) === contentHash(pdu)
}

/**
 * The hash over the redacted event, in the base64 of the room version: the event ID without its sigil from version 3
 * on, and in versions 1 and 2 what `prev_events` and `auth_events` carry beside the ID.
 * https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event
 */
export function referenceHash(pdu: JsonObject, version: RoomVersion): string {
  const { unsigned: _unsigned, signatures: _signatures, ...hashed } = redactPdu(pdu, version)
  const text = canonicalJson(hashed, 'lax')
  return version.eventIdFormat === 'url_safe_hash'
    ? hash('sha256', text, 'base64url')
    : withoutPadding(hash('sha256', text, 'base64'))
}

/**
 * The event's ID: computed from version 3 on; in versions 1 and 2 read from `event_id`, and `null` when that is missing
 * or is no `$opaque:server`.
 */
export function eventIdOf(pdu: JsonObject, version: RoomVersion): EventId | null {
  // A hash has 43 characters of base64, so with its sigil it is an event ID.
  if (version.eventIdFormat !== 'chosen') return `$${referenceHash(pdu, version)}` as EventId
  const claimed = pdu['event_id']
  const eventId = typeof claimed === 'string' ? parseEventId(claimed) : null
  return eventId !== null && serverNameOfEvent(eventId) !== null ? eventId : null
}

/**
 * The ID of the room that a create event makes: its own ID with `!` in room version 12, its `room_id` before. `null`
 * when that field is missing or malformed. https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function roomIdOfCreate(pdu: JsonObject, version: RoomVersion): RoomId | null {
  // As above: a hash with the room's sigil is a room ID of version 12.
  if (version.roomIdIsCreateHash) return `!${referenceHash(pdu, version)}` as RoomId
  const claimed = pdu['room_id']
  return typeof claimed === 'string' ? parseRoomId(claimed) : null
}

function withoutPadding(base64: string): string {
  if (!base64.endsWith('=')) return base64
  return base64.endsWith('==') ? base64.slice(0, -2) : base64.slice(0, -1)
}
