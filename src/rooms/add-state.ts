import { canonicalJson } from '../protocol/canonical-json.ts'
import { type EventId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Draft, type OpenRoom } from './append.ts'

/** A state event that is to be set. */
export type StateDraft = Draft & { readonly stateKey: string }

/**
 * Adds a state event, unless the same user has set just that before and it still stands: saying again what is so makes no
 * new event. Returns the ID of the event that stands in the end. Throws what `OpenRoom.add` throws.
 */
export async function addState(room: OpenRoom, draft: StateDraft): Promise<EventId> {
  const standing = room.head.event(draft.type, draft.stateKey)
  if (standing?.sender === draft.sender && sameContent(standing.content, draft.content)) return standing.eventId
  return (await room.add(draft)).eventId
}

function sameContent(one: JsonObject, other: JsonObject): boolean {
  return canonicalJson(one, 'lax') === canonicalJson(other, 'lax')
}
