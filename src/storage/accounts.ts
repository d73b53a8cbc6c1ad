import { sql } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'

/** A local account. */
export interface Account {
  readonly userId: UserId
  readonly userNumber: number
  /** A PHC string; `null` for accounts without a password. */
  readonly passwordHash: string | null
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  readonly isDeactivated: boolean
  readonly isErased: boolean
}

interface AccountRow {
  user_id: string
  user_number: number
  password_hash: string | null
  is_admin: boolean
  is_guest: boolean
  is_locked: boolean
  is_suspended: boolean
  is_deactivated: boolean
  is_erased: boolean
}

function accountOfRow(row: AccountRow): Account {
  return {
    // The column holds nothing but user IDs that were parsed before they were inserted.
    userId: row.user_id as UserId,
    userNumber: row.user_number,
    passwordHash: row.password_hash,
    isAdmin: row.is_admin,
    isGuest: row.is_guest,
    isLocked: row.is_locked,
    isSuspended: row.is_suspended,
    isDeactivated: row.is_deactivated,
    isErased: row.is_erased,
  }
}

const columns = [
  'users.user_id', 'accounts.user_number', 'password_hash', 'is_admin', 'is_guest', 'is_locked', 'is_suspended',
  'is_deactivated', 'is_erased',
] as const // prettier-ignore

/** The account of a user, deactivated ones included; `null` when there never was one. */
export async function accountByUserId(reader: Reader, userId: UserId): Promise<Account | null> {
  const row = await reader
    .selectFrom('accounts')
    .innerJoin('users', 'users.user_number', 'accounts.user_number')
    .select(columns)
    .where('users.user_id', '=', userId)
    .executeTakeFirst()
  return row ? accountOfRow(row) : null
}

/** The account of a user number, deactivated ones included; `null` when there is none. */
export async function accountByNumber(reader: Reader, userNumber: number): Promise<Account | null> {
  const row = await reader
    .selectFrom('accounts')
    .innerJoin('users', 'users.user_number', 'accounts.user_number')
    .select(columns)
    .where('accounts.user_number', '=', userNumber)
    .executeTakeFirst()
  return row ? accountOfRow(row) : null
}

/** How many accounts there are that somebody may use. */
export async function countActiveAccounts(reader: Reader): Promise<number> {
  const row = await reader
    .selectFrom('accounts')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('is_deactivated', '=', false)
    .executeTakeFirstOrThrow()
  return row.count
}

/** True once somebody has an account that is not closed. */
export async function hasActiveAccount(reader: Reader): Promise<boolean> {
  const row = await reader.selectFrom('accounts').select('user_number').where('is_deactivated', '=', false).limit(1).executeTakeFirst() // prettier-ignore
  return row !== undefined
}

/** Makes the account. False, and nothing is written, if the user has one or had one: names are not given out twice. */
export async function insertAccount(
  tx: Tx,
  account: {
    readonly userNumber: number
    readonly passwordHash: string | null
    readonly isAdmin: boolean
    readonly isGuest: boolean
    /** YYYY-MM-DD. */
    readonly createdOn: string
  },
): Promise<boolean> {
  const result = await tx
    .insertInto('accounts')
    .values({
      user_number: account.userNumber,
      password_hash: account.passwordHash,
      is_admin: account.isAdmin,
      is_guest: account.isGuest,
      created_on: account.createdOn,
    })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** Keeps other changes of the same account's things out until the transaction ends. */
export async function lockAccount(tx: Tx, userNumber: number): Promise<void> {
  await tx
    .selectFrom('accounts')
    .select('user_number')
    .where('user_number', '=', userNumber)
    // Not the stronger lock: rows that refer to the account may still be written.
    .forNoKeyUpdate()
    .execute()
}

/** Sets the password. A deactivated account is left as it is, and the answer is false. */
export async function setPasswordHash(tx: Tx, userNumber: number, passwordHash: string): Promise<boolean> {
  const result = await tx
    .updateTable('accounts')
    .set({ password_hash: passwordHash })
    .where('user_number', '=', userNumber)
    .where('is_deactivated', '=', false)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Replaces one hash of a password by another of the same password; does nothing if the password has changed meanwhile. */
export async function replacePasswordHash(tx: Tx, userNumber: number, from: string, to: string): Promise<void> {
  await tx
    .updateTable('accounts')
    .set({ password_hash: to })
    .where('user_number', '=', userNumber)
    .where('password_hash', '=', from)
    .execute()
}

/** Sets what administrators may set. Absent flags stay. False when there is no such account, or it is deactivated. */
export async function setAccountFlags(
  tx: Tx,
  userNumber: number,
  flags: { readonly isAdmin?: boolean; readonly isLocked?: boolean; readonly isSuspended?: boolean },
): Promise<boolean> {
  const result = await tx
    .updateTable('accounts')
    .set({
      is_admin: flags.isAdmin ?? sql<boolean>`is_admin`,
      is_locked: flags.isLocked ?? sql<boolean>`is_locked`,
      is_suspended: flags.isSuspended ?? sql<boolean>`is_suspended`,
    })
    .where('user_number', '=', userNumber)
    .where('is_deactivated', '=', false)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/**
 * Marks the account as deactivated for good, and takes its password and its flags. False if it was deactivated before.
 */
export async function deactivateAccount(tx: Tx, userNumber: number, isErased: boolean): Promise<boolean> {
  const result = await tx
    .updateTable('accounts')
    .set({ password_hash: null, is_deactivated: true, is_admin: false, is_locked: false, is_suspended: false })
    .where('user_number', '=', userNumber)
    .where('is_deactivated', '=', false)
    .executeTakeFirst()
  if (isErased) {
    await tx.updateTable('accounts').set({ is_erased: true }).where('user_number', '=', userNumber).execute()
  }
  return result.numUpdatedRows === 1n
}
