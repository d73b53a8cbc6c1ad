import { parseServerName, type ServerName } from './identifiers.ts'

declare const brand: unique symbol

/** The second part of an `mxc://` URI: at most 255 of `A-Z a-z 0-9 _ -`, so that it can lead nowhere as part of a path. */
export type MediaId = string & { readonly [brand]: 'MediaId' }

/** `null` for what is not a media ID. https://spec.matrix.org/v1.19/client-server-api/#content-repo-security-considerations */
export function parseMediaId(text: string): MediaId | null {
  // The pattern is what the brand stands for.
  return /^[A-Za-z0-9_-]{1,255}$/.test(text) ? (text as MediaId) : null
}

/** https://spec.matrix.org/v1.19/client-server-api/#matrix-content-mxc-uris */
export function mxcUri(serverName: ServerName, mediaId: MediaId): string {
  return `mxc://${serverName}/${mediaId}`
}

/** The parts of an `mxc://` URI, or `null` if it is none. */
export function parseMxcUri(uri: string): { readonly serverName: ServerName; readonly mediaId: MediaId } | null {
  const match = /^mxc:\/\/([^/]+)\/([^/]+)$/.exec(uri)
  const serverName = parseServerName(match?.[1] ?? '')
  const mediaId = parseMediaId(match?.[2] ?? '')
  return serverName !== null && mediaId !== null ? { serverName, mediaId } : null
}
