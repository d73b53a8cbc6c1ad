import { sql } from 'kysely'
import { type Reader, type Tx } from './database.ts'

/** A token that lets people register. */
export interface RegistrationToken {
  readonly token: string
  /** `null`: any number. */
  readonly usesAllowed: number | null
  /** Uses that registrations under way hold. */
  readonly pending: number
  readonly completed: number
  /** Milliseconds since the epoch; `null`: never. */
  readonly expiresTs: number | null
}

function select(reader: Reader, nowTs: number, exceptSession: Buffer | null = null) {
  return reader
    .selectFrom('registration_tokens')
    .select(['token', 'uses_allowed', 'completed', 'expires_ts'])
    .select(query =>
      query
        .selectFrom('interactive_auth_sessions')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .whereRef('interactive_auth_sessions.token', '=', 'registration_tokens.token')
        .where('interactive_auth_sessions.expires_ts', '>', nowTs)
        .$if(exceptSession !== null, others => others.where('session_hash', '<>', exceptSession))
        .$asScalar()
        .$notNull()
        .as('pending'),
    )
}

type Row = Awaited<ReturnType<ReturnType<typeof select>['execute']>>[number]

function tokenOfRow(row: Row): RegistrationToken {
  return {
    token: row.token,
    usesAllowed: row.uses_allowed,
    pending: row.pending,
    completed: row.completed,
    expiresTs: row.expires_ts,
  }
}

/** `null` if there is no such token. */
export async function registrationToken(
  reader: Reader,
  token: string,
  nowTs: number,
): Promise<RegistrationToken | null> {
  const row = await select(reader, nowTs).where('token', '=', token).executeTakeFirst()
  return row ? tokenOfRow(row) : null
}

/** All tokens, in their own order. */
export async function registrationTokens(reader: Reader, nowTs: number): Promise<RegistrationToken[]> {
  const rows = await select(reader, nowTs).orderBy('token').execute()
  return rows.map(tokenOfRow)
}

/**
 * True if the token can be used once more, not counting what the session `exceptSession` holds of it. Others who want to use
 * it wait until the transaction ends.
 */
export async function lockUsableRegistrationToken(
  tx: Tx,
  token: string,
  nowTs: number,
  exceptSession: Buffer | null,
): Promise<boolean> {
  await tx.selectFrom('registration_tokens').select('token').where('token', '=', token).forUpdate().execute()
  const row = await select(tx, nowTs, exceptSession).where('token', '=', token).executeTakeFirst()
  return row !== undefined && isUsableRegistrationToken(tokenOfRow(row), nowTs)
}

/** True if the token has not expired and has a use left. */
export function isUsableRegistrationToken(token: RegistrationToken, nowTs: number): boolean {
  if (token.expiresTs !== null && token.expiresTs <= nowTs) return false
  return token.usesAllowed === null || token.completed + token.pending < token.usesAllowed
}

/** False if the token exists. */
export async function insertRegistrationToken(
  tx: Tx,
  token: string,
  usesAllowed: number | null,
  expiresTs: number | null,
): Promise<boolean> {
  const result = await tx
    .insertInto('registration_tokens')
    .values({ token, uses_allowed: usesAllowed, expires_ts: expiresTs })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** Sets what is given. False if there is no such token. */
export async function updateRegistrationToken(
  tx: Tx,
  token: string,
  changes: { readonly usesAllowed?: number | null; readonly expiresTs?: number | null },
): Promise<boolean> {
  const result = await tx
    .updateTable('registration_tokens')
    .set({
      uses_allowed: changes.usesAllowed === undefined ? sql<number | null>`uses_allowed` : changes.usesAllowed,
      expires_ts: changes.expiresTs === undefined ? sql<number | null>`expires_ts` : changes.expiresTs,
    })
    .where('token', '=', token)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** False if there is no such token. */
export async function deleteRegistrationToken(tx: Tx, token: string): Promise<boolean> {
  const result = await tx.deleteFrom('registration_tokens').where('token', '=', token).executeTakeFirst()
  return result.numDeletedRows === 1n
}

/** Counts one use. False, and nothing is counted, if the token is gone, expired or used up. */
export async function completeRegistrationToken(tx: Tx, token: string, nowTs: number): Promise<boolean> {
  const result = await tx
    .updateTable('registration_tokens')
    .set({ completed: sql`completed + 1` })
    .where('token', '=', token)
    .where(({ eb, or }) => or([eb('uses_allowed', 'is', null), eb('completed', '<', sql<number>`uses_allowed`)]))
    .where(({ eb, or }) => or([eb('expires_ts', 'is', null), eb('expires_ts', '>', nowTs)]))
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}
