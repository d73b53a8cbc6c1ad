import { CanonicalJsonError } from './canonical-json.ts'
import { depthLimit, type EventRead, readEvent } from './event-format.ts'
import { contentHash } from './hashes.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from './identifiers.ts'
import { type JsonObject, type JsonValue } from './json.ts'
import { type RoomVersion } from './room-versions.ts'
import { type SigningKey, signEvent } from './signatures.ts'

/** An event that another one points to. Room versions 1 and 2 need its reference hash as well. */
export interface EventReference {
  readonly eventId: EventId
  readonly referenceHash?: string
}

/** What we say ourselves in a new event. It has no place for a foreign PDU: nothing unknown can slip under our signature. */
export interface EventDraft {
  readonly version: RoomVersion
  /** `null` for the create event of a room of version 12, and only for it. */
  readonly roomId: RoomId | null
  /** In room versions 1 and 2 the new event's ID, which somebody with randomness has chosen; absent in all others. */
  readonly eventId?: EventId
  readonly sender: UserId
  readonly type: string
  /** Absent for an event that is not a state event. */
  readonly stateKey?: string
  readonly content: JsonObject
  readonly prevEvents: readonly EventReference[]
  readonly authEvents: readonly EventReference[]
  /** One more than the deepest of `prevEvents`; at the limit it stays there. */
  readonly depth: number
  /** Milliseconds since the epoch. */
  readonly originServerTs: number
  /** For a redaction: written where the version keeps it, at the top level or in `content`. */
  readonly redacts?: EventId
}

/**
 * Builds, hashes and signs an event of our own: the only function that turns fields into a signed event. The result has
 * passed `readEvent`. Refused, with `tooLarge` where that is why: a sender of another server, content that is not
 * canonical JSON in a version that demands it, and anything else that the format forbids.
 * https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 */
export function buildEvent(draft: EventDraft, serverName: ServerName, key: SigningKey): EventRead {
  const { version } = draft
  if (serverNameOf(draft.sender) !== serverName)
    return { ok: false, problem: 'the sender is not a user of this server' }
  const isVersion12Create = version.roomIdIsCreateHash && draft.type === 'm.room.create'
  if (isVersion12Create !== (draft.roomId === null)) return { ok: false, problem: 'room_id is missing or malformed' }
  const prevEvents = writeReferences(draft.prevEvents, version)
  const authEvents = writeReferences(draft.authEvents, version)
  if (prevEvents === null || authEvents === null) return { ok: false, problem: 'a reference hash is missing' }
  const movesRedacts = draft.redacts !== undefined && version.redactsInContent
  const pdu: JsonObject = {
    auth_events: authEvents,
    // Spreading copies own keys one by one, so that `__proto__` stays an ordinary key.
    content: movesRedacts ? { ...draft.content, redacts: draft.redacts } : draft.content,
    depth: Math.min(draft.depth, depthLimit),
    origin_server_ts: draft.originServerTs,
    prev_events: prevEvents,
    sender: draft.sender,
    type: draft.type,
  }
  if (version.eventIdFormat === 'chosen') {
    if (draft.eventId === undefined) return { ok: false, problem: 'event_id is missing or malformed' }
    pdu['event_id'] = draft.eventId
  }
  if (draft.roomId !== null) pdu['room_id'] = draft.roomId
  if (draft.stateKey !== undefined) pdu['state_key'] = draft.stateKey
  if (draft.redacts !== undefined && !version.redactsInContent) pdu['redacts'] = draft.redacts
  try {
    pdu['hashes'] = { sha256: contentHash(pdu) }
    return readEvent(signEvent(pdu, serverName, key, version), version)
  } catch (error) {
    if (error instanceof CanonicalJsonError)
      return { ok: false, problem: `the event is not canonical JSON: ${error.message}` }
    throw error
  }
}

function writeReferences(references: readonly EventReference[], version: RoomVersion): JsonValue[] | null {
  if (version.eventIdFormat !== 'chosen') return references.map(({ eventId }) => eventId)
  const pairs: JsonValue[] = []
  for (const { eventId, referenceHash } of references) {
    if (referenceHash === undefined) return null
    pairs.push([eventId, { sha256: referenceHash }])
  }
  return pairs
}
