import { type Context } from '../context.ts'
import { MatrixError, notFound } from '../errors.ts'
import { type DeviceId, type UserId } from '../protocol/identifiers.ts'
import { type Account, accountByUserId, setAccountFlags, setPasswordHash } from '../storage/accounts.ts'
import { type Tx } from '../storage/database.ts'
import { deletePageSessionsOf } from '../storage/page-sessions.ts'
import { deleteLoginTokens } from '../storage/tokens.ts'
import { hashPassword } from './passwords.ts'
import { endSessionsIn } from './sessions.ts'

/** The account of a local user, deactivated ones included; `null` when there never was one. */
export function accountOf(ctx: Context, userId: UserId): Promise<Account | null> {
  return accountByUserId(ctx.db.kysely, userId)
}

/** Somebody with an account here. */
export interface AccountOwner {
  readonly userId: UserId
  readonly userNumber: number
}

/**
 * Sets a new password, which has passed `checkNewPassword`. With `logOutOthers` every device but `keptDevice` is deleted.
 * Login tokens and sign-ins to the pages are void in any case. `useUp` runs first, in the same transaction. Throws `M_USER_DEACTIVATED`.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword
 */
export async function changePassword(
  ctx: Context,
  owner: AccountOwner,
  change: { readonly password: string; readonly logOutOthers: boolean; readonly keptDevice: DeviceId | null },
  useUp: (tx: Tx) => Promise<void>,
): Promise<void> {
  // Hashing takes long, so it comes before the transaction.
  const passwordHash = await hashPassword(ctx, change.password)
  await ctx.log.transact(async (tx, announce) => {
    await useUp(tx)
    if (!(await setPasswordHash(tx, owner.userNumber, passwordHash))) {
      throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    }
    await deleteLoginTokens(tx, owner.userNumber)
    await deletePageSessionsOf(tx, owner.userNumber)
    if (change.logOutOthers) await endSessionsIn(tx, announce, owner, { allExcept: change.keptDevice })
  })
}

/**
 * Sets what an administrator may set of an account; what is absent stays. Throws `notFound` if there is no such account or
 * it is deactivated. https://spec.matrix.org/v1.19/client-server-api/#account-moderation
 */
export async function setFlags(
  ctx: Context,
  owner: AccountOwner,
  flags: { readonly isAdmin?: boolean; readonly isLocked?: boolean; readonly isSuspended?: boolean },
): Promise<void> {
  await ctx.log.transact(async (tx, announce) => {
    if (!(await setAccountFlags(tx, owner.userNumber, flags))) throw notFound('There is no such account')
    announce({ kind: 'session', userId: owner.userId })
  })
}
