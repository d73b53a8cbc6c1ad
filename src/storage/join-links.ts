import { sql } from 'kysely'
import { type Reader, type Tx } from './database.ts'

/** A link that makes accounts. */
export interface JoinLink {
  readonly isAdmin: boolean
  readonly usesLeft: number
  /** Milliseconds since the epoch. */
  readonly expiresTs: number
}

export async function insertJoinLink(
  tx: Tx,
  tokenHash: Buffer,
  link: { readonly isAdmin: boolean; readonly usesAllowed: number; readonly expiresTs: number },
): Promise<void> {
  await tx
    .insertInto('join_links')
    .values({
      token_hash: tokenHash,
      is_admin: link.isAdmin,
      uses_allowed: link.usesAllowed,
      expires_ts: link.expiresTs,
    })
    .execute()
}

/** The link, if it can be used; otherwise `null`. */
export async function usableJoinLink(reader: Reader, tokenHash: Buffer, nowTs: number): Promise<JoinLink | null> {
  const row = await reader
    .selectFrom('join_links')
    .select(['is_admin', 'uses_allowed', 'uses', 'expires_ts'])
    .where('token_hash', '=', tokenHash)
    .where('expires_ts', '>', nowTs)
    .whereRef('uses', '<', 'uses_allowed')
    .executeTakeFirst()
  return row ? { isAdmin: row.is_admin, usesLeft: row.uses_allowed - row.uses, expiresTs: row.expires_ts } : null
}

/** Uses a link once; a link that is used up is deleted. False, and nothing happens, if it cannot be used. */
export async function takeJoinLink(tx: Tx, tokenHash: Buffer, nowTs: number): Promise<boolean> {
  const row = await tx
    .updateTable('join_links')
    .set({ uses: sql`uses + 1` })
    .where('token_hash', '=', tokenHash)
    .where('expires_ts', '>', nowTs)
    .whereRef('uses', '<', 'uses_allowed')
    .returning(['uses', 'uses_allowed'])
    .executeTakeFirst()
  if (!row) return false
  if (row.uses >= row.uses_allowed) await tx.deleteFrom('join_links').where('token_hash', '=', tokenHash).execute()
  return true
}

/** Deletes links that have expired; returns how many. */
export async function deleteExpiredJoinLinks(tx: Tx, nowTs: number): Promise<number> {
  const result = await tx.deleteFrom('join_links').where('expires_ts', '<=', nowTs).executeTakeFirst()
  return Number(result.numDeletedRows)
}

/** A link as the operator sees it: without what is in it, which nobody knows any more. */
export interface ListedJoinLink extends JoinLink {
  /** The first characters of the hash: enough to tell links apart. */
  readonly name: string
}

/** The links that can still be used, those that end soonest first. */
export async function usableJoinLinks(reader: Reader, nowTs: number): Promise<ListedJoinLink[]> {
  const rows = await reader
    .selectFrom('join_links')
    .select(['token_hash', 'is_admin', 'uses_allowed', 'uses', 'expires_ts'])
    .where('expires_ts', '>', nowTs)
    .whereRef('uses', '<', 'uses_allowed')
    .orderBy('expires_ts')
    .execute()
  return rows.map(row => ({
    name: joinLinkName(row.token_hash),
    isAdmin: row.is_admin,
    usesLeft: row.uses_allowed - row.uses,
    expiresTs: row.expires_ts,
  }))
}

const nameLength = 12

/** What a link is called. */
export function joinLinkName(tokenHash: Buffer): string {
  return tokenHash.toString('hex').slice(0, nameLength)
}

/** Deletes the link of that name. False if there is none. */
export async function deleteJoinLink(tx: Tx, name: string): Promise<boolean> {
  const result = await tx
    .deleteFrom('join_links')
    .where(sql<boolean>`left(encode(token_hash, 'hex'), ${nameLength}) = ${name}`)
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}
