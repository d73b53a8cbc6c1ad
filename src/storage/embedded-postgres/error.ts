/** The embedded database cannot run. The message is for the operator and says what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}

/** The way out that every message about the embedded database ends with. */
export const OWN_DATABASE_HINT = 'Or set database.url to a PostgreSQL (15 or later) of your own.'

/** The `code` of a system error (`ENOENT`), or null for anything else. */
export function systemErrorCode(error: unknown): string | null {
  // Not instanceof: in a test, errors of Node's own modules come from another realm.
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
