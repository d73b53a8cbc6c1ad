/** What media is when nobody said, or when what was said is no media type. */
export const unknownType = 'application/octet-stream'

/**
 * The types that browsers may show in place of saving them: none of them can run a script.
 * https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content
 */
const inlineTypes: ReadonlySet<string> = new Set([
  'text/css', 'text/plain', 'text/csv', 'application/json', 'application/ld+json', 'image/jpeg', 'image/gif',
  'image/png', 'image/apng', 'image/webp', 'image/avif', 'video/mp4', 'video/webm', 'video/ogg', 'video/quicktime',
  'audio/mp4', 'audio/webm', 'audio/aac', 'audio/mpeg', 'audio/ogg', 'audio/wave', 'audio/wav', 'audio/x-wav',
  'audio/x-pn-wav', 'audio/flac', 'audio/x-flac',
]) // prettier-ignore

const typeLimitBytes = 255
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const essencePattern = new RegExp(`^(${token}/${token})[ \\t]*`)
const parameterPattern = new RegExp(
  `;[ \\t]*(?:(${token})=(${token}|"(?:[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\x20-\\x7e])*"))?[ \\t]*`,
  'y',
)

/**
 * The media type of an upload as it is kept: type and parameter names in lower case, blanks and empty parameters removed.
 * `application/octet-stream` for one that is absent, malformed (two types in one header among others) or overlong.
 */
export function normaliseContentType(header: string | null): string {
  const text = header?.trim() ?? ''
  const match = text.length > typeLimitBytes ? null : essencePattern.exec(text)
  const essence = match?.[1]
  if (!match || essence === undefined) return unknownType
  const parts = [essence.toLowerCase()]
  for (let at = match[0].length; at < text.length; at = parameterPattern.lastIndex) {
    parameterPattern.lastIndex = at
    const parameter = parameterPattern.exec(text)
    if (!parameter) return unknownType
    const [, name, value] = parameter
    if (name !== undefined && value !== undefined) parts.push(`${name.toLowerCase()}=${value}`)
  }
  return parts.join('; ')
}

/** `inline` for the types that are safe to show, `attachment` for all others. Takes a normalised type. */
export function dispositionOf(contentType: string): 'inline' | 'attachment' {
  const [essence = ''] = contentType.split(';')
  return inlineTypes.has(essence) ? 'inline' : 'attachment'
}

/** `Content-Disposition` with a file name: RFC 6266, with RFC 8187's form where a quoted string would not do. */
export function contentDisposition(kind: 'inline' | 'attachment', fileName: string | null): string {
  if (fileName === null) return kind
  // Some agents decode percent signs in quoted strings.
  if (/^[\x20-\x7e]+$/.test(fileName) && !/["\\%]/.test(fileName)) return `${kind}; filename="${fileName}"`
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename*=utf-8''${encoded}`
}

/** What media may do in a browser that opens it by its address: nothing. */
const contentSecurityPolicy =
  "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; " +
  "media-src 'self'; object-src 'self'"

/** Media never changes, but it may be deleted: what a client keeps of it, it keeps for a day. */
const cacheSeconds = 86_400

/** The headers of an answer that carries media. Takes a normalised type. */
export function mediaHeaders(media: {
  readonly contentType: string
  readonly sizeBytes: number
  readonly fileName: string | null
}): Record<string, string> {
  const { contentType, sizeBytes, fileName } = media
  // Without a charset browsers guess one for text; clients write UTF-8.
  const isBareText = contentType.startsWith('text/') && !contentType.includes('; charset=')
  return {
    'Content-Type': isBareText ? `${contentType}; charset=utf-8` : contentType,
    'Content-Length': String(sizeBytes),
    'Content-Disposition': contentDisposition(dispositionOf(contentType), fileName),
    'Content-Security-Policy': contentSecurityPolicy,
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    // Only the asker's own cache: what is behind a token must not lie in a shared one.
    'Cache-Control': `private, max-age=${cacheSeconds}, immutable`,
  }
}
