import { compileGlob, type Glob } from './glob.ts'
import { parseRoomId, parseUserId } from './identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { parsePropertyPath, valueAtPath } from './property-path.ts'

/** The size of a filter as JSON in UTF-8, in bytes. */
export const filterLimitBytes = 65_536

/** The number of entries in any one list of a filter. */
export const filterListLimit = 2_000

/** The number of events in a timeline if the filter does not say. */
export const timelineLimitDefault = 10

/** The greatest `limit` that counts; a greater one is taken as this. */
export const filterLimitMaximum = 100

/** Names to look for: those without a wildcard, and those with. */
export interface NamePatterns {
  readonly exact: ReadonlySet<string>
  /** Only event types may have wildcards. */
  readonly globs: readonly Glob[]
  /** The list as the client gave it, for a query that wants to do the work in the database. */
  readonly list: readonly string[]
}

/** `EventFilter`, `RoomEventFilter` and `StateFilter` of the spec in one: keys that do not apply are just absent. */
export interface EventFilter {
  /** 1 … `filterLimitMaximum`, or `null` if the filter does not say. */
  readonly limit: number | null
  /** `null`: all types; an empty list: none. So also below. */
  readonly types: NamePatterns | null
  readonly notTypes: NamePatterns | null
  readonly senders: NamePatterns | null
  readonly notSenders: NamePatterns | null
  readonly rooms: NamePatterns | null
  readonly notRooms: NamePatterns | null
  /** Whether the content must (`true`) or must not (`false`) have a `url`; `null` if it does not matter. */
  readonly containsUrl: boolean | null
  readonly lazyLoadMembers: boolean
  readonly includeRedundantMembers: boolean
  readonly unreadThreadNotifications: boolean
}

/** `RoomFilter` of the spec. */
export interface RoomFilter {
  readonly rooms: NamePatterns | null
  readonly notRooms: NamePatterns | null
  readonly includeLeave: boolean
  readonly state: EventFilter
  /** Its `limit` is never `null`. */
  readonly timeline: EventFilter & { readonly limit: number }
  readonly ephemeral: EventFilter
  readonly accountData: EventFilter
}

/** `Filter` of the spec. */
export interface Filter {
  readonly room: RoomFilter
  readonly presence: EventFilter
  readonly accountData: EventFilter
  readonly eventFormat: 'client' | 'federation'
  /** The properties to keep, each as a path of names; `null`: all. */
  readonly eventFields: readonly (readonly string[])[] | null
}

/** A filter, or why there is none; the problem is fit for a client. */
export type ParsedFilter<Kind> =
  { readonly ok: true; readonly filter: Kind } | { readonly ok: false; readonly problem: string }

/** What filters look at in an event; `null` for what this sort of event does not have. */
export interface FilterableEvent {
  readonly type: string
  readonly sender: string | null
  readonly roomId: string | null
  readonly content: JsonObject
}

/**
 * Reads a filter as it comes from a client or from where it was kept. Unknown keys pass and have no effect.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export function parseFilter(json: JsonValue): ParsedFilter<Filter> {
  return guarded(json, () => {
    const filter = section(json, 'the filter')
    const room = section(filter.room, 'room')
    const timeline = eventFilter(room.timeline, 'room.timeline')
    return {
      room: {
        rooms: names(room, 'rooms', 'room', isRoomId),
        notRooms: names(room, 'not_rooms', 'room', isRoomId),
        includeLeave: flag(room, 'include_leave', 'room') ?? false,
        state: eventFilter(room.state, 'room.state'),
        timeline: { ...timeline, limit: timeline.limit ?? timelineLimitDefault },
        ephemeral: eventFilter(room.ephemeral, 'room.ephemeral'),
        accountData: eventFilter(room.account_data, 'room.account_data'),
      },
      presence: eventFilter(filter.presence, 'presence'),
      accountData: eventFilter(filter.account_data, 'account_data'),
      eventFormat: eventFormat(filter.event_format),
      eventFields: names(filter, 'event_fields', 'the filter', () => true)?.list.map(parsePropertyPath) ?? null,
    }
  })
}

/** Reads a `RoomEventFilter`, the kind that `/messages`, `/context` and `/search` take. */
export function parseRoomEventFilter(json: JsonValue): ParsedFilter<EventFilter> {
  return guarded(json, () => eventFilter(json, 'the filter'))
}

/** Whether an event passes a filter. A list of senders or rooms lets nothing pass that has no sender or no room. */
export function matchesEvent(filter: EventFilter, event: FilterableEvent): boolean {
  return (
    passes(filter.types, filter.notTypes, event.type) &&
    passes(filter.senders, filter.notSenders, event.sender) &&
    passes(filter.rooms, filter.notRooms, event.roomId) &&
    (filter.containsUrl === null || filter.containsUrl === Object.hasOwn(event.content, 'url'))
  )
}

/** Whether a room passes the `rooms` and `not_rooms` of a room filter, which come before those of its parts. */
export function includesRoom(filter: Pick<RoomFilter, 'rooms' | 'notRooms'>, roomId: string): boolean {
  return passes(filter.rooms, filter.notRooms, roomId)
}

/**
 * An event with only the properties that `event_fields` names; the event itself if the filter does not say or names none.
 * The values are shared with the event; do not change them.
 */
export function applyEventFields(event: JsonObject, fields: Filter['eventFields']): JsonObject {
  if (fields === null || fields.length === 0) return event
  const result = bareObject()
  const made = new Set([result])
  for (const path of fields) {
    const value = valueAtPath(event, path)
    if (value !== undefined) putAtPath(result, made, path, value)
  }
  return result
}

/** Puts a value in its place under `result`. `made` are the objects that may be written: others belong to the event. */
function putAtPath(result: JsonObject, made: Set<JsonObject>, path: readonly string[], value: JsonValue): void {
  let place = result
  for (const [index, name] of path.entries()) {
    const present = place[name]
    if (index === path.length - 1) {
      place[name] = value
    } else if (present === undefined) {
      const inner = bareObject()
      made.add(inner)
      place[name] = inner
      place = inner
    } else if (isJsonObject(present) && made.has(present)) {
      place = present
    } else {
      return // A shorter path has put the whole of it here already.
    }
  }
}

/** An object in which every name, `__proto__` included, is an ordinary one. */
function bareObject(): JsonObject {
  // `Object.create` is typed as `any`; an object without properties is a JSON object.
  return Object.create(null) as JsonObject
}

function passes(wanted: NamePatterns | null, unwanted: NamePatterns | null, name: string | null): boolean {
  // "A matching sender will be excluded even if it is listed in the `senders` filter", and so for types and rooms.
  if (name === null) return wanted === null
  return !(unwanted !== null && includes(unwanted, name)) && (wanted === null || includes(wanted, name))
}

function includes(patterns: NamePatterns, name: string): boolean {
  return patterns.exact.has(name) || patterns.globs.some(glob => glob.matches(name))
}

/** Carries a problem out of the nested readers below; it never leaves this file. */
class FilterProblem extends Error {}

function guarded<Kind>(json: JsonValue, read: () => Kind): ParsedFilter<Kind> {
  if (Buffer.byteLength(JSON.stringify(json)) > filterLimitBytes) {
    return { ok: false, problem: `a filter may have ${filterLimitBytes} bytes` }
  }
  try {
    return { ok: true, filter: read() }
  } catch (error) {
    if (error instanceof FilterProblem) return { ok: false, problem: error.message }
    throw error
  }
}

function section(value: JsonValue | undefined, where: string): JsonObject {
  if (value === undefined) return {}
  if (!isJsonObject(value)) throw new FilterProblem(`${where} must be an object`)
  return value
}

function eventFilter(value: JsonValue | undefined, where: string): EventFilter {
  const filter = section(value, where)
  return {
    limit: limit(filter, where),
    types: names(filter, 'types', where, () => true, true),
    notTypes: names(filter, 'not_types', where, () => true, true),
    senders: names(filter, 'senders', where, isUserId),
    notSenders: names(filter, 'not_senders', where, isUserId),
    rooms: names(filter, 'rooms', where, isRoomId),
    notRooms: names(filter, 'not_rooms', where, isRoomId),
    containsUrl: flag(filter, 'contains_url', where),
    lazyLoadMembers: flag(filter, 'lazy_load_members', where) ?? false,
    includeRedundantMembers: flag(filter, 'include_redundant_members', where) ?? false,
    unreadThreadNotifications: flag(filter, 'unread_thread_notifications', where) ?? false,
  }
}

/** The spec wants more than 0; clients that want no events do send 0. */
function limit(filter: JsonObject, where: string): number | null {
  const value = filter.limit
  if (value === undefined) return null
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new FilterProblem(`limit in ${where} must be a positive integer`)
  }
  return Math.min(value, filterLimitMaximum)
}

function flag(filter: JsonObject, key: string, where: string): boolean | null {
  const value = filter[key]
  if (value === undefined) return null
  if (typeof value !== 'boolean') throw new FilterProblem(`${key} in ${where} must be a boolean`)
  return value
}

function names(
  filter: JsonObject,
  key: string,
  where: string,
  isValid: (name: string) => boolean,
  hasWildcards = false,
): NamePatterns | null {
  const value = filter[key]
  if (value === undefined) return null
  if (!Array.isArray(value)) throw new FilterProblem(`${key} in ${where} must be a list`)
  if (value.length > filterListLimit) throw new FilterProblem(`${key} in ${where} may have ${filterListLimit} entries`)
  const list = value.map(name => {
    if (typeof name !== 'string' || !isValid(name)) throw new FilterProblem(`${key} in ${where} has an invalid entry`)
    return name
  })
  const isGlob = (name: string): boolean => hasWildcards && name.includes('*')
  return {
    exact: new Set(list.filter(name => !isGlob(name))),
    globs: [...new Set(list.filter(isGlob))].map(name => compileGlob(name, { caseSensitive: true, wildcards: '*' })),
    list,
  }
}

function eventFormat(value: JsonValue | undefined): Filter['eventFormat'] {
  if (value === undefined) return 'client'
  if (value !== 'client' && value !== 'federation') {
    throw new FilterProblem('event_format must be `client` or `federation`')
  }
  return value
}

function isUserId(name: string): boolean {
  return parseUserId(name) !== null
}

function isRoomId(name: string): boolean {
  return parseRoomId(name) !== null
}
