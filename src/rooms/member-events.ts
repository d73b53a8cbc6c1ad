import { type Context } from '../context.ts'
import { invalidParam } from '../errors.ts'
import { type EventFilter, parseRoomEventFilter } from '../protocol/filters.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { membersAt } from '../storage/sync-state.ts'
import { type RoomAccess } from './visibility.ts'

/**
 * The member events of those who sent the events: what lazy-loading clients need beside them, each once. Whoever has left is
 * given those of when they left: what became of the others since is not for them.
 */
export async function lazyMembers(
  ctx: Context,
  { head, upTo }: RoomAccess,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  const senders = [...new Set(events.map(({ event }) => event.sender))]
  if (upTo === Infinity) return senders.flatMap(sender => head.state.get('m.room.member', sender) ?? [])
  const { roomNumber } = head.facts
  return membersAt(
    ctx.db.kysely,
    ctx.numbers,
    senders.map(userId => ({ roomNumber, userId, position: upTo })),
  )
}

/** The `filter` parameter of /messages and /context: JSON of a RoomEventFilter. Throws M_INVALID_PARAM. */
export function readEventFilter(text: string | undefined): EventFilter | null {
  if (text === undefined) return null
  const json = parseJson(text)
  if (!json.ok) throw invalidParam('filter is not valid JSON')
  const parsed = parseRoomEventFilter(json.value)
  if (!parsed.ok) throw invalidParam(parsed.problem)
  return parsed.filter
}
