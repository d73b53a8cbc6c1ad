import { parseEventId, type EventId } from './identifiers.ts'
import { isJsonObject, type JsonObject } from './json.ts'

/** How an event is related to an earlier one by `m.relates_to` with a `rel_type`. */
export interface Relation {
  /** `m.thread`, `m.replace`, `m.annotation`, `m.reference` or any other, at most 255 bytes. */
  readonly relType: string
  /** The parent: for `m.thread` the root of the thread. */
  readonly eventId: EventId
  /** The `key` of an `m.annotation`: any string, of any length; `null` elsewhere and if it has none. */
  readonly key: string | null
  /** Whether the reply in a thread is there only for clients that know no threads. */
  readonly isFallingBack: boolean
}

/** The longest relation type that is believed, in bytes of UTF-8; the same as the spec's for other identifiers. */
const relTypeLimitBytes = 255

/**
 * The relation that the content of an event declares, or `null`: "relationships which don't match the schema … are simply
 * ignored". For an encrypted event this is in the clear, beside the ciphertext. A mere reply has none: see `replyTarget`.
 * https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
export function relationOf(content: JsonObject): Relation | null {
  const relates = content['m.relates_to']
  if (!isJsonObject(relates)) return null
  const eventId = eventIdIn(relates)
  const { rel_type: relType, key, is_falling_back: isFallingBack } = relates
  if (
    typeof relType !== 'string' ||
    relType === '' ||
    Buffer.byteLength(relType) > relTypeLimitBytes ||
    eventId === null
  )
    return null
  return {
    relType,
    eventId,
    key: relType === 'm.annotation' && typeof key === 'string' ? key : null,
    isFallingBack: relType === 'm.thread' && isFallingBack === true,
  }
}

/**
 * The event that this content replies to, or `null`. In a thread it may be a mere fallback, which
 * `Relation.isFallingBack` tells. https://spec.matrix.org/v1.19/client-server-api/#rich-replies
 */
export function replyTarget(content: JsonObject): EventId | null {
  const relates = content['m.relates_to']
  const reply = isJsonObject(relates) ? relates['m.in_reply_to'] : undefined
  return isJsonObject(reply) ? eventIdIn(reply) : null
}

/** The root of the thread that this content says it belongs to, or `null`. */
export function threadRoot(content: JsonObject): EventId | null {
  const relation = relationOf(content)
  return relation?.relType === 'm.thread' ? relation.eventId : null
}

function eventIdIn({ event_id: eventId }: JsonObject): EventId | null {
  return typeof eventId === 'string' ? parseEventId(eventId) : null
}
