import { type Context, perServer } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { isStrictLocalpart, type UserId, userIdOf } from '../protocol/identifiers.ts'
import { accountByUserId, insertAccount } from '../storage/accounts.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { putRecoveryCode } from '../storage/recovery-codes.ts'
import { isUsableRegistrationToken, registrationToken } from '../storage/registration-tokens.ts'
import { today } from './dates.ts'
import { type Flow, type Proof, useProof } from './interactive-auth.ts'
import { hashPassword } from './passwords.ts'
import { drawPseudonym } from './pseudonyms.ts'
import { isStorable } from './text.ts'
import { insertSession, type OpenSession, type SessionRequest } from './sessions.ts'

/** How many pseudonyms are drawn before the server gives up: with millions of them, the second is free. */
const pseudonymDraws = 20

/** The ways in which somebody may register. Throws `forbidden` where nobody may. */
export function registrationFlows(ctx: Context): readonly Flow[] {
  switch (ctx.config.registration.mode) {
    case 'closed':
      throw registrationClosed()
    case 'token':
      return [['m.login.registration_token']]
    case 'open':
      return [['m.login.dummy']]
  }
}

/** 403: this server makes no accounts for whoever asks. */
export const registrationClosed = (): MatrixError => forbidden('Registration is disabled')

const claims = perServer(() => new Set<(userId: UserId) => boolean>())

/** Keeps names for application services: `isClaimed` is asked about every name that somebody wants. Returns how to stop. */
export function claimUserIds(ctx: Context, isClaimed: (userId: UserId) => boolean): () => void {
  const registered = claims(ctx)
  registered.add(isClaimed)
  return () => registered.delete(isClaimed)
}

const userInUse = (): MatrixError => new MatrixError('M_USER_IN_USE', 'That username is taken')
const invalidUsername = (): MatrixError =>
  new MatrixError('M_INVALID_USERNAME', 'Usernames have letters a-z, digits and the characters . _ = - / + only')

/**
 * The user ID for a wanted username, in small letters, if it is free now. Throws `M_INVALID_USERNAME`, `M_EXCLUSIVE` or
 * `M_USER_IN_USE`. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register
 */
export async function availableUserId(ctx: Context, username: string): Promise<UserId> {
  const localpart = username.toLowerCase()
  // A leading underscore is left to bridges, whose names are made by machines.
  const isValid = isStrictLocalpart(localpart) && !localpart.startsWith('_')
  const userId = isValid ? userIdOf(localpart, ctx.serverName) : null
  if (userId === null) throw invalidUsername()
  for (const isClaimed of claims(ctx)) {
    if (isClaimed(userId)) throw new MatrixError('M_EXCLUSIVE', 'That username belongs to an application service')
  }
  if (await accountByUserId(ctx.db.kysely, userId)) throw userInUse()
  return userId
}

/** A user ID that nobody has, of two words and some digits. */
export async function availablePseudonym(ctx: Context): Promise<UserId> {
  for (let draw = 0; draw < pseudonymDraws; draw += 1) {
    const userId = userIdOf(drawPseudonym(ctx.random), ctx.serverName)
    if (userId === null) break
    const isTaken = [...claims(ctx)].some(isClaimed => isClaimed(userId))
    if (!isTaken && !(await accountByUserId(ctx.db.kysely, userId))) return userId
  }
  throw new Error('No pseudonym is free')
}

export interface NewAccount {
  readonly userNumber: number
  /** `null`: an account that nobody can log in to with a password. */
  readonly passwordHash: string | null
  readonly isAdmin: boolean
}

/** Makes an account as part of something larger. Throws `M_USER_IN_USE` if the user has or had one. */
export async function createAccountIn(ctx: Context, tx: Tx, account: NewAccount): Promise<void> {
  const isNew = await insertAccount(tx, { ...account, isGuest: false, createdOn: today(ctx.clock) })
  if (!isNew) throw userInUse()
}

/** Makes an account. Returns false, and changes nothing, if the user has or had one. */
export async function createAccount(
  ctx: Context,
  account: { readonly userId: UserId; readonly passwordHash: string | null; readonly isAdmin: boolean },
): Promise<boolean> {
  const userNumber = await ctx.numbers.user(account.userId)
  const { passwordHash, isAdmin } = account
  return transaction(ctx.db, tx =>
    insertAccount(tx, { userNumber, passwordHash, isAdmin, isGuest: false, createdOn: today(ctx.clock) }),
  )
}

/** True if somebody could register with this token now. */
export async function isValidRegistrationToken(ctx: Context, token: string): Promise<boolean> {
  if (!isStorable(token)) return false
  const nowTs = ctx.clock.now()
  const known = await registrationToken(ctx.db.kysely, token, nowTs)
  return known !== null && isUsableRegistrationToken(known, nowTs)
}

/**
 * Makes an account and, unless `session` is `null`, logs it in. `useUp` runs first, in the same transaction: what lets
 * somebody register is used up exactly when the account is made. Of two who want one name, one gets `M_USER_IN_USE`.
 */
export async function register(
  ctx: Context,
  account: {
    readonly userId: UserId
    readonly password: string | null
    readonly isAdmin?: boolean
    /** The hash of the recovery code that the account begins with, if any. */
    readonly recoveryHash?: Buffer
  },
  session: SessionRequest | null,
  useUp: (tx: Tx) => Promise<void>,
): Promise<OpenSession | null> {
  // Hashing takes long, so it comes before the transaction.
  const passwordHash = account.password === null ? null : await hashPassword(ctx, account.password)
  // So does the user's number, which is made on a connection of its own.
  const userNumber = await ctx.numbers.user(account.userId)
  return ctx.log.transact(async (tx, announce) => {
    await useUp(tx)
    const { userId } = account
    await createAccountIn(ctx, tx, { userNumber, passwordHash, isAdmin: account.isAdmin === true })
    if (account.recoveryHash) await putRecoveryCode(tx, userNumber, account.recoveryHash)
    return session && insertSession(ctx, tx, announce, { userId, userNumber }, session)
  })
}

/** `useUp` for a registration that interactive authentication let pass. */
export function usingProof(ctx: Context, proof: Proof): (tx: Tx) => Promise<void> {
  return tx => useProof(ctx, tx, proof)
}
