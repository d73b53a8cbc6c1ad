/**
 * Every API answer may be read by any web page: clients are web pages, and they carry no cookies.
 * https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients
 */
export const corsHeaders: readonly string[] = [
  'Access-Control-Allow-Origin', '*',
  'Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE, OPTIONS',
  'Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization',
  'Access-Control-Expose-Headers', 'Retry-After',
] // prettier-ignore

/** What a preflight is answered with, besides; browsers then ask again only after a day. */
export const preflightHeaders: readonly string[] = [...corsHeaders, 'Access-Control-Max-Age', '86400']

/** True for paths of APIs; false for the pages that people open, which no other page may read. */
export function isApiPath(path: string): boolean {
  return path.startsWith('/_') || path.startsWith('/.well-known/')
}
