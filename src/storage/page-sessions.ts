import { type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'

/** Somebody who is signed in to the pages. */
export interface PageVisitor {
  readonly userId: UserId
  readonly userNumber: number
  readonly isAdmin: boolean
  readonly isSuspended: boolean
}

export async function insertPageSession(
  tx: Tx,
  tokenHash: Buffer,
  userNumber: number,
  expiresTs: number,
): Promise<void> {
  await tx
    .insertInto('page_sessions')
    .values({ token_hash: tokenHash, user_number: userNumber, expires_ts: expiresTs })
    .execute()
}

/** Whose sign-in it is; `null` if it is unknown, expired at `nowTs`, or its account may not be used. */
export async function pageVisitor(reader: Reader, tokenHash: Buffer, nowTs: number): Promise<PageVisitor | null> {
  const row = await reader
    .selectFrom('page_sessions as s')
    .innerJoin('accounts as a', 'a.user_number', 's.user_number')
    .innerJoin('users as u', 'u.user_number', 's.user_number')
    .select(['u.user_id', 's.user_number', 'a.is_admin', 'a.is_suspended'])
    .where('s.token_hash', '=', tokenHash)
    .where('s.expires_ts', '>', nowTs)
    .where('a.is_deactivated', '=', false)
    .where('a.is_locked', '=', false)
    .executeTakeFirst()
  if (!row) return null
  return {
    // The column holds nothing but user IDs that were parsed before they were inserted.
    userId: row.user_id as UserId,
    userNumber: row.user_number,
    isAdmin: row.is_admin,
    isSuspended: row.is_suspended,
  }
}

export async function deletePageSession(tx: Tx, tokenHash: Buffer): Promise<void> {
  await tx.deleteFrom('page_sessions').where('token_hash', '=', tokenHash).execute()
}

/** Signs a user out of the pages everywhere. */
export async function deletePageSessionsOf(tx: Tx, userNumber: number): Promise<void> {
  await tx.deleteFrom('page_sessions').where('user_number', '=', userNumber).execute()
}

/** Deletes sign-ins that have expired; returns how many. */
export async function deleteExpiredPageSessions(tx: Tx, nowTs: number): Promise<number> {
  const result = await tx.deleteFrom('page_sessions').where('expires_ts', '<=', nowTs).executeTakeFirst()
  return Number(result.numDeletedRows)
}
