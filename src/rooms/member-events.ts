import { invalidParam } from '../errors.ts'
import { type EventFilter, parseRoomEventFilter } from '../protocol/filters.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { type RoomHead } from './head.ts'

/** The member events of those who sent the events: what lazy-loading clients need beside them, each once. */
export function lazyMembers(head: RoomHead, events: readonly StoredEvent[]): StoredEvent[] {
  const senders = new Set(events.map(({ event }) => event.sender))
  return [...senders].flatMap(sender => head.state.get('m.room.member', sender) ?? [])
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
