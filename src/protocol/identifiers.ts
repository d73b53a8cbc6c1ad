declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type UserId = Branded<'UserId'>
export type RoomId = Branded<'RoomId'>
export type RoomAlias = Branded<'RoomAlias'>
export type EventId = Branded<'EventId'>
export type ServerName = Branded<'ServerName'>
export type DeviceId = Branded<'DeviceId'>

/** The longest identifier of any kind, in bytes of UTF-8, sigil and server name included. */
export const identifierLimitBytes = 255

const highestPort = 65_535

/**
 * A user ID such as `@alice:example.org`, or `null`. The localpart may be any that has ever been allowed (events of
 * old rooms carry them, even an empty one); what a new account may be called is `isStrictLocalpart`.
 * https://spec.matrix.org/v1.19/appendices/#user-identifiers
 */
export function parseUserId(text: string): UserId | null {
  // The check is the grammar that the brand stands for.
  return isLocalpartAndServer('@', text) ? (text as UserId) : null
}

/**
 * A room ID, or `null`: `!opaque:server` of room versions 1 to 11, or the `!hash` of room version 12.
 * Which of the two a room's version allows is for the event format to say.
 * https://spec.matrix.org/v1.19/appendices/#room-ids
 */
export function parseRoomId(text: string): RoomId | null {
  // The check is the grammar that the brand stands for.
  return isOpaqueWithOptionalServer('!', text) ? (text as RoomId) : null
}

/** A room alias such as `#lobby:example.org`, or `null`. https://spec.matrix.org/v1.19/appendices/#room-aliases */
export function parseRoomAlias(text: string): RoomAlias | null {
  // The check is the grammar that the brand stands for; an alias without a name is of no use to anybody.
  return isLocalpartAndServer('#', text) && text[1] !== ':' ? (text as RoomAlias) : null
}

/**
 * An event ID, or `null`: `$opaque:server` of room versions 1 and 2, or the `$hash` of the later ones.
 * https://spec.matrix.org/v1.19/appendices/#event-ids
 */
export function parseEventId(text: string): EventId | null {
  // The check is the grammar that the brand stands for.
  return isOpaqueWithOptionalServer('$', text) ? (text as EventId) : null
}

/**
 * A server name, or `null`: a DNS name, an IPv4 literal or an IPv6 literal in brackets, with an optional port.
 * Case is kept, for server names are compared case-sensitively.
 * https://spec.matrix.org/v1.19/appendices/#server-name
 */
export function parseServerName(text: string): ServerName | null {
  // The check is the grammar that the brand stands for.
  return isServerNameAt(text, 0) ? (text as ServerName) : null
}

/** A device ID: any well-formed string of 1 to 255 bytes without NUL; otherwise `null`. The spec leaves it opaque. */
export function parseDeviceId(text: string): DeviceId | null {
  // The check is the grammar that the brand stands for.
  return text.length > 0 && isBoundedText(text) ? (text as DeviceId) : null
}

/** The server that a user or an alias belongs to, port included. */
export function serverNameOf(id: UserId | RoomAlias): ServerName {
  // Both brands promise a valid server name after the first colon, and no colon before it.
  return id.slice(id.indexOf(':') + 1) as ServerName
}

/** The server named in a room ID, or `null` for a room of version 12, whose ID is a hash. It says nothing of who is in the room. */
export function serverNameOfRoom(id: RoomId): ServerName | null {
  const colon = id.indexOf(':')
  // The brand promises a valid server name after the first colon, where there is one.
  return colon < 0 ? null : (id.slice(colon + 1) as ServerName)
}

/** The server named in an event ID of room versions 1 and 2; `null` for an ID that is a hash. */
export function serverNameOfEvent(id: EventId): ServerName | null {
  const colon = id.indexOf(':')
  // The brand promises a valid server name after the first colon, where there is one.
  return colon < 0 ? null : (id.slice(colon + 1) as ServerName)
}

/** What stands between the sigil and the colon; may be empty for a historical user ID. */
export function localpartOf(id: UserId | RoomAlias): string {
  return id.slice(1, id.indexOf(':'))
}

/** The ID of a user on a server, or `null` when the localpart is not even historical or the ID exceeds 255 bytes. */
export function userIdOf(localpart: string, serverName: ServerName): UserId | null {
  return localpart.includes(':') ? null : parseUserId(`@${localpart}:${serverName}`)
}

/** The alias of that name on a server, or `null` when the name is not allowed or the alias exceeds 255 bytes. */
export function roomAliasOf(localpart: string, serverName: ServerName): RoomAlias | null {
  return localpart.includes(':') ? null : parseRoomAlias(`#${localpart}:${serverName}`)
}

/**
 * True for a localpart that a new account may have: one or more of `a-z 0-9 . _ = - / +`, short enough for any ID.
 * https://spec.matrix.org/v1.19/appendices/#user-identifiers
 */
export function isStrictLocalpart(localpart: string): boolean {
  return localpart.length <= identifierLimitBytes && /^[a-z0-9._=\-/+]+$/.test(localpart)
}

/**
 * True for a localpart that an existing user may have: any Unicode text without `:`, NUL and lone surrogates,
 * the empty one included. https://spec.matrix.org/v1.19/appendices/#historical-user-ids
 */
export function isHistoricalLocalpart(localpart: string): boolean {
  return !localpart.includes(':') && isBoundedText(localpart)
}

/**
 * False for the users whom the spec calls non-compliant: an empty localpart or one with characters outside U+0021 to
 * U+007E. Their events are accepted, but outside of events they are not to be told to clients.
 */
export function isCompliantUserId(id: UserId): boolean {
  return /^[\x21-\x7e]+$/.test(localpartOf(id))
}

/** Well-formed Unicode without NUL, at most 255 bytes. */
function isBoundedText(text: string): boolean {
  if (text.length > identifierLimitBytes) return false
  // A UTF-16 unit takes at most three bytes of UTF-8, so a short text needs no counting.
  if (text.length * 3 > identifierLimitBytes && Buffer.byteLength(text, 'utf8') > identifierLimitBytes) return false
  return text.isWellFormed() && !text.includes('\0')
}

function isLocalpartAndServer(sigil: string, text: string): boolean {
  if (text[0] !== sigil || !isBoundedText(text)) return false
  const colon = text.indexOf(':')
  return colon > 0 && isServerNameAt(text, colon + 1)
}

function isOpaqueWithOptionalServer(sigil: string, text: string): boolean {
  if (text[0] !== sigil || text.length < 2 || !isBoundedText(text)) return false
  const colon = text.indexOf(':')
  return colon < 0 || isServerNameAt(text, colon + 1)
}

/** True when everything from `start` on is a server name. */
function isServerNameAt(text: string, start: number): boolean {
  if (text.length - start > identifierLimitBytes) return false
  const name = start === 0 ? text : text.slice(start)
  if (name.startsWith('[')) {
    const end = name.indexOf(']')
    return end > 0 && isIpv6(name.slice(1, end)) && (end === name.length - 1 || isPort(name.slice(end + 1)))
  }
  const colon = name.indexOf(':')
  const host = colon < 0 ? name : name.slice(0, colon)
  if (!/^[A-Za-z0-9.-]+$/.test(host)) return false
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host) && !isIpv4(host)) return false
  return colon < 0 || isPort(name.slice(colon))
}

function isPort(text: string): boolean {
  return /^:\d{1,5}$/.test(text) && Number(text.slice(1)) <= highestPort
}

function isIpv4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every(part => Number(part) <= 255)
}

/** RFC 3513 section 2.2: eight groups, or fewer around one `::`; the last two may be written as IPv4. No zone. */
function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  let groupCount = 0
  for (const [index, half] of halves.entries()) {
    if (half === '') continue
    const groups = half.split(':')
    for (const [position, group] of groups.entries()) {
      const isLast = index === halves.length - 1 && position === groups.length - 1
      if (/^[0-9A-Fa-f]{1,4}$/.test(group)) groupCount += 1
      else if (isLast && isIpv4(group)) groupCount += 2
      else return false
    }
  }
  return halves.length === 2 ? groupCount <= 7 : groupCount === 8
}
