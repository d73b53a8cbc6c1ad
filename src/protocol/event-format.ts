import { canonicalJson, CanonicalJsonError } from './canonical-json.ts'
import { type Event } from './event.ts'
import { eventIdOf } from './hashes.ts'
import {
  type EventId,
  identifierLimitBytes,
  parseEventId,
  parseRoomId,
  parseUserId,
  type RoomId,
  serverNameOfEvent,
  serverNameOfRoom,
} from './identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { jsonDepthLimit } from './json-reader.ts'
import { isRawNumber, rawNumberText } from './raw-number.ts'
import { type RoomVersion } from './room-versions.ts'

/** The largest event: its canonical JSON with signatures. https://spec.matrix.org/v1.19/client-server-api/#size-limits */
export const eventLimitBytes = 65_536
export const prevEventsLimit = 20
export const authEventsLimit = 10

/** The largest `depth` that we ever write; it is also what a larger one of room versions 1 to 5 counts as. */
export const depthLimit = Number.MAX_SAFE_INTEGER
/** The largest `depth` that room versions 1 to 5 allow. */
const laxDepthLimit = 2n ** 63n - 1n

/** `tooLarge` is set where a client is told `M_TOO_LARGE`; `problem` is a sentence for the error's text. */
export type EventRead =
  | { readonly ok: true; readonly event: Event }
  | { readonly ok: false; readonly problem: string; readonly tooLarge?: boolean }

/**
 * The first check on every PDU: does it have the format of its room's version? Fields and types, canonical JSON where
 * the version demands it, sizes, counts, identifiers. Says nothing of signatures, hashes and authorisation. Never throws.
 * The event's `pdu` is the one given, less `unsigned`.
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu (1)
 */
export function readEvent(pdu: JsonValue, version: RoomVersion): EventRead {
  if (!isJsonObject(pdu)) return refuse('the event is not an object')
  const { unsigned: _unsigned, ...signed } = pdu
  try {
    const text = canonicalJson(signed, version.strictCanonicalJson ? 'strict' : 'lax')
    if (exceedsBytes(text, eventLimitBytes)) return tooLarge('the event is larger than 65536 bytes')
    if (nestsBeyond(signed, jsonDepthLimit)) return refuse('the event nests too deep')
    const eventId = eventIdOf(signed, version)
    if (eventId === null) return refuseIdentifier('event_id', pdu['event_id'])
    return readFields(signed, eventId, version)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return refuse(`the event is not canonical JSON: ${error.message}`)
    throw error
  }
}

/**
 * An event from its own storage, whose ID, size and hashes were checked when it was stored. Cheaper than `readEvent`,
 * and just as unable to throw: a row that is damaged is refused, and costs itself only.
 */
export function readStoredEvent(pdu: JsonValue, eventId: EventId, version: RoomVersion): EventRead {
  if (!isJsonObject(pdu)) return refuse('the event is not an object')
  if (!Object.hasOwn(pdu, 'unsigned')) return readFields(pdu, eventId, version)
  const { unsigned: _unsigned, ...signed } = pdu
  return readFields(signed, eventId, version)
}

function readFields(pdu: JsonObject, eventId: EventId, version: RoomVersion): EventRead {
  const type = own(pdu, 'type')
  if (typeof type !== 'string') return refuse('type is not a string')
  if (exceedsBytes(type, identifierLimitBytes)) return tooLarge('type is longer than 255 bytes')
  const stateKey = own(pdu, 'state_key') ?? null
  if (Object.hasOwn(pdu, 'state_key') && typeof stateKey !== 'string') return refuse('state_key is not a string')
  if (typeof stateKey === 'string' && exceedsBytes(stateKey, identifierLimitBytes)) {
    return tooLarge('state_key is longer than 255 bytes')
  }
  const senderField = own(pdu, 'sender')
  const sender = typeof senderField === 'string' ? parseUserId(senderField) : null
  if (sender === null) return refuseIdentifier('sender', senderField)
  const roomId = readRoomId(pdu, type, eventId, version)
  if (roomId === null) return refuseIdentifier('room_id', own(pdu, 'room_id'))
  const content = own(pdu, 'content')
  if (!isJsonObject(content) || isRawNumber(content)) return refuse('content is not an object')
  const depth = readDepth(own(pdu, 'depth'), version)
  if (depth === null) return refuse('depth is not an integer from 0 to the limit')
  const originServerTs = own(pdu, 'origin_server_ts')
  if (!isInteger(originServerTs)) return refuse('origin_server_ts is not an integer')
  const prevEvents = readReferences(own(pdu, 'prev_events'), prevEventsLimit, version)
  if (prevEvents === null) return refuse('prev_events is not a list of at most 20 events')
  const authEvents = readReferences(own(pdu, 'auth_events'), authEventsLimit, version)
  if (authEvents === null) return refuse('auth_events is not a list of at most 10 events')
  const hashes = own(pdu, 'hashes')
  if (!isJsonObject(hashes) || typeof own(hashes, 'sha256') !== 'string') return refuse('hashes has no sha256')
  if (!isSignatures(own(pdu, 'signatures'))) return refuse('signatures is not an object of objects of strings')
  return {
    ok: true,
    event: {
      eventId,
      roomId,
      type,
      // Checked above: where it is present, it is a string.
      stateKey: stateKey as string | null,
      sender,
      content,
      originServerTs,
      depth,
      authEvents,
      prevEvents,
      redacts: type === 'm.room.redaction' ? readRedacts(pdu, content, version) : null,
      pdu,
    },
  }
}

/** `null` when it is missing, malformed, or of the wrong kind for the version. */
function readRoomId(pdu: JsonObject, type: string, eventId: EventId, version: RoomVersion): RoomId | null {
  const field = own(pdu, 'room_id')
  if (version.roomIdIsCreateHash && type === 'm.room.create') {
    // Rule 1.2 of version 12: the create event names no room, for it is the room. Its ID is a hash, so this is one too.
    return field === undefined && own(pdu, 'state_key') === '' ? (`!${eventId.slice(1)}` as RoomId) : null
  }
  const roomId = typeof field === 'string' ? parseRoomId(field) : null
  if (roomId === null) return null
  if (version.roomIdIsCreateHash) return /^![A-Za-z0-9_-]{43}$/.test(roomId) ? roomId : null
  return serverNameOfRoom(roomId) === null ? null : roomId
}

function readDepth(value: JsonValue | undefined, version: RoomVersion): number | null {
  if (isInteger(value)) return value >= 0 ? value : null
  if (version.strictCanonicalJson) return null
  const text = rawNumberText(value)
  if (text !== null) return /^\d{1,19}$/.test(text) && BigInt(text) <= laxDepthLimit ? depthLimit : null
  // Without its text, an integer beyond 2^53 is known only roughly.
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 2 ** 63 ? depthLimit : null
}

/** The IDs in `prev_events` or `auth_events`, `null` when anything about them is not of the version's format. */
function readReferences(value: JsonValue | undefined, limit: number, version: RoomVersion): EventId[] | null {
  if (!Array.isArray(value) || value.length > limit) return null
  const eventIds: EventId[] = []
  for (const item of value) {
    const eventId = version.eventIdFormat === 'chosen' ? readPair(item) : readHashId(item, version)
    if (eventId === null) return null
    eventIds.push(eventId)
  }
  return eventIds
}

/** Versions 1 and 2: the event's ID, and an object with its reference hash. */
function readPair(item: JsonValue): EventId | null {
  if (!Array.isArray(item) || item.length !== 2 || !isJsonObject(item[1])) return null
  const eventId = typeof item[0] === 'string' ? parseEventId(item[0]) : null
  return eventId !== null && serverNameOfEvent(eventId) !== null ? eventId : null
}

function readHashId(item: JsonValue, version: RoomVersion): EventId | null {
  if (typeof item !== 'string') return null
  const pattern = version.eventIdFormat === 'hash' ? /^\$[A-Za-z0-9+/]{43}$/ : /^\$[A-Za-z0-9_-]{43}$/
  return pattern.test(item) ? parseEventId(item) : null
}

function readRedacts(pdu: JsonObject, content: JsonObject, version: RoomVersion): EventId | null {
  const redacts = version.redactsInContent ? own(content, 'redacts') : own(pdu, 'redacts')
  return typeof redacts === 'string' ? parseEventId(redacts) : null
}

function isSignatures(value: JsonValue | undefined): boolean {
  return (
    isJsonObject(value) &&
    !isRawNumber(value) &&
    Object.values(value).every(
      ofEntity => isJsonObject(ofEntity) && Object.values(ofEntity).every(item => typeof item === 'string'),
    )
  )
}

function isInteger(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value)
}

function exceedsBytes(text: string, limitBytes: number): boolean {
  // A UTF-16 unit takes at most three bytes of UTF-8, so most texts need no counting.
  return text.length * 3 > limitBytes && Buffer.byteLength(text, 'utf8') > limitBytes
}

/** Its recursion ends at the limit. */
function nestsBeyond(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return false
  if (levels === 0) return true
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof item === 'object' && nestsBeyond(item, levels - 1)) return true
  }
  return false
}

function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function refuse(problem: string): EventRead {
  return { ok: false, problem }
}

function tooLarge(problem: string): EventRead {
  return { ok: false, problem, tooLarge: true }
}

/** An identifier that is only too long is an event that is too large. */
function refuseIdentifier(field: string, value: JsonValue | undefined): EventRead {
  return typeof value === 'string' && exceedsBytes(value, identifierLimitBytes)
    ? tooLarge(`${field} is longer than 255 bytes`)
    : refuse(`${field} is missing or malformed`)
}
