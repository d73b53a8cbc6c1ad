import { type EventId, type RoomId, type UserId } from './identifiers.ts'
import { type JsonObject } from './json.ts'
import { type ReadonlyStateMap } from './state-map.ts'

/**
 * An event (PDU) whose format has been checked: the fields that the rules read, beside the JSON that was signed.
 * Nothing in it is ever changed; a redaction makes another one.
 */
export interface Event {
  readonly eventId: EventId
  /** In room version 12 the create event carries no `room_id`; here it is always filled in. */
  readonly roomId: RoomId
  readonly type: string
  /** `null` for an event that is not a state event. */
  readonly stateKey: string | null
  readonly sender: UserId
  readonly content: JsonObject
  /** Milliseconds since the epoch, as its sender's server claims. */
  readonly originServerTs: number
  readonly depth: number
  readonly authEvents: readonly EventId[]
  readonly prevEvents: readonly EventId[]
  /** The event that this one redacts: from the top level before room version 11, from `content` since; else `null`. */
  readonly redacts: EventId | null
  /** The whole PDU as signed and hashed, without `unsigned`. */
  readonly pdu: JsonObject
}

/** A room's state: one event for each (type, state key). */
export type RoomState = ReadonlyStateMap<Event>

/** What a rule decided. Pure code returns verdicts and never throws HTTP errors. */
export type Verdict =
  { readonly allowed: true } | { readonly allowed: false; readonly rule: string; readonly reason: string }

/** The one verdict of "yes". */
export const allowed: Verdict = { allowed: true }

/** A refusal that names the rule of the spec which refused. */
export function refused(rule: string, reason: string): Verdict {
  return { allowed: false, rule, reason }
}
