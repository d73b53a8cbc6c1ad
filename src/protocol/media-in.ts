import { type ServerName } from './identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { type MediaId, parseMediaId } from './media-id.ts'

/** How much of one event is looked through: no client shows more. */
const mediaLimit = 100

/**
 * The media of a server that an event's content names, each once, wherever it stands: `url`, `info.thumbnail_url`,
 * `avatar_url`, pictures inside `formatted_body`.
 */
export function mediaIn(content: JsonObject, serverName: ServerName): MediaId[] {
  const found = new Set<MediaId>()
  const prefix = `mxc://${serverName}/`
  const look = (value: JsonValue | undefined): void => {
    if (found.size >= mediaLimit) return
    if (typeof value === 'string') {
      for (let at = value.indexOf(prefix); at >= 0; at = value.indexOf(prefix, at + prefix.length)) {
        const mediaId = parseMediaId(/^[A-Za-z0-9_-]*/.exec(value.slice(at + prefix.length))?.[0] ?? '')
        if (mediaId !== null) found.add(mediaId)
        if (found.size >= mediaLimit) return
      }
    } else if (Array.isArray(value)) value.forEach(look)
    else if (isJsonObject(value)) Object.values(value).forEach(look)
  }
  look(content)
  return [...found]
}
