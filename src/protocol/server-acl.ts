import { compileGlob, foldCase, type Glob } from './glob.ts'
import { type ServerName } from './identifiers.ts'
import { type JsonObject, type JsonValue } from './json.ts'

/** A room's server ACL, ready to be asked. */
export interface ServerAcl {
  /** Whether the server may take part in the room. The port of its name does not count, nor does case. */
  allows(serverName: ServerName): boolean
}

/** The number of answers that one ACL remembers. */
const rememberedAnswersLimit = 1_000

const everyone: ServerAcl = { allows: () => true }

const compiled = new WeakMap<JsonObject, ServerAcl>()

/**
 * Whether a server may take part in a room. `content` is that of the room's current `m.room.server_acl`, `undefined` if
 * there is none. Contents are never changed, so each one is compiled once, and forgotten with its event.
 * https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl
 */
export function serverAllowed(content: JsonObject | undefined, serverName: ServerName): boolean {
  if (content === undefined) return true
  let acl = compiled.get(content)
  if (!acl) compiled.set(content, (acl = compileServerAcl(content)))
  return acl.allows(serverName)
}

/**
 * Compiles an ACL for a caller that keeps it. Malformed content is read as the spec says: an `allow` or `deny` that is
 * not a list is an empty list (so that without `allow` nobody is let in), entries that are not strings do not
 * count, and an `allow_ip_literals` that is not a boolean is true.
 */
export function compileServerAcl(content: JsonObject | undefined): ServerAcl {
  if (content === undefined) return everyone
  const denied = compileNames(content.deny)
  const allowed = compileNames(content.allow)
  const allowsIpLiterals = content.allow_ip_literals !== false
  const decide = (host: string): boolean => {
    if (!allowsIpLiterals && isIpLiteral(host)) return false
    if (denied(host)) return false
    return allowed(host)
  }

  const answers = new Map<string, boolean>()
  return {
    allows: serverName => {
      const host = hostOf(serverName)
      let answer = answers.get(host)
      if (answer === undefined) {
        answer = decide(host)
        if (answers.size >= rememberedAnswersLimit) answers.clear()
        answers.set(host, answer)
      }
      return answer
    },
  }
}

/** The name without its port, in lower case; an IPv6 literal keeps its brackets. */
function hostOf(serverName: string): string {
  const end = serverName.lastIndexOf(':')
  // The last colon is inside an IPv6 literal if a bracket closes behind it, or if there is another colon and no bracket.
  const hasPort =
    end > 0 && !serverName.includes(']', end) && (serverName.startsWith('[') || serverName.indexOf(':') === end)
  return foldCase(hasPort ? serverName.slice(0, end) : serverName)
}

/** Whether a host is an IPv4 or IPv6 literal by the grammar of server names, or an IPv6 address that lacks its brackets. */
function isIpLiteral(host: string): boolean {
  return host.startsWith('[') || host.includes(':') || /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/.test(host)
}

/**
 * One test for a list of globs. An ACL may hold tens of thousands of entries, nearly all of which are plain names or
 * `*.something`: those are looked up, whatever their number, and only the rest is tried one by one.
 */
function compileNames(list: JsonValue | undefined): (host: string) => boolean {
  const names = new Set<string>()
  const suffixes = new Set<string>()
  const suffixLengths = new Set<number>()
  const globs: Glob[] = []
  for (const entry of new Set(Array.isArray(list) ? list : [])) {
    if (typeof entry !== 'string') continue
    const glob = compileGlob(entry, { caseSensitive: false })
    const suffix = entry.startsWith('*') ? compileGlob(entry.slice(1), { caseSensitive: false }).literal : null
    if (glob.literal !== null) names.add(glob.literal)
    else if (suffix !== null) {
      suffixes.add(suffix)
      suffixLengths.add(suffix.length)
    } else globs.push(glob)
  }
  return host => {
    if (names.has(host)) return true
    for (const length of suffixLengths) {
      if (length <= host.length && suffixes.has(host.slice(host.length - length))) return true
    }
    return globs.some(glob => glob.matchesFolded(host))
  }
}
