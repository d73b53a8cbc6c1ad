import { type Reader, type Tx } from './database.ts'

/** What a client has proved so far, and for what. */
export interface InteractiveAuthSession {
  readonly operation: string
  /** `null`: nobody is signed in (registration). */
  readonly userNumber: number | null
  /** 32 bytes over the request's body, keyed with the session's name. */
  readonly bodyHash: Buffer
  /** Stages, in the order in which they were completed. */
  readonly completed: readonly string[]
  /** The registration token that it holds a use of. */
  readonly token: string | null
  readonly expiresTs: number
}

/** The session; `null` if it is unknown or has expired. */
export async function interactiveAuthSession(
  reader: Reader,
  sessionHash: Buffer,
  nowTs: number,
): Promise<InteractiveAuthSession | null> {
  const row = await reader
    .selectFrom('interactive_auth_sessions')
    .select(['operation', 'user_number', 'body_hash', 'completed', 'token', 'expires_ts'])
    .where('session_hash', '=', sessionHash)
    .where('expires_ts', '>', nowTs)
    .executeTakeFirst()
  if (!row) return null
  return {
    operation: row.operation,
    userNumber: row.user_number,
    bodyHash: row.body_hash,
    completed: row.completed,
    token: row.token,
    expiresTs: row.expires_ts,
  }
}

/** Writes the session, new or changed. */
export async function putInteractiveAuthSession(
  tx: Tx,
  sessionHash: Buffer,
  session: InteractiveAuthSession,
): Promise<void> {
  const row = {
    operation: session.operation,
    user_number: session.userNumber,
    body_hash: session.bodyHash,
    completed: [...session.completed],
    token: session.token,
    expires_ts: session.expiresTs,
  }
  await tx
    .insertInto('interactive_auth_sessions')
    .values({ session_hash: sessionHash, ...row })
    .onConflict(conflict => conflict.column('session_hash').doUpdateSet(row))
    .execute()
}

/** False if it was gone already. */
export async function deleteInteractiveAuthSession(tx: Tx, sessionHash: Buffer): Promise<boolean> {
  const result = await tx
    .deleteFrom('interactive_auth_sessions')
    .where('session_hash', '=', sessionHash)
    .executeTakeFirst()
  return result.numDeletedRows === 1n
}

/** Deletes up to `limit` sessions that expired before `nowTs`; returns how many. */
export async function deleteExpiredInteractiveAuthSessions(tx: Tx, nowTs: number, limit: number): Promise<number> {
  const result = await tx
    .deleteFrom('interactive_auth_sessions')
    .where('session_hash', 'in', query =>
      query
        .selectFrom('interactive_auth_sessions')
        .select('session_hash')
        .where('expires_ts', '<=', nowTs)
        .limit(limit),
    )
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}
