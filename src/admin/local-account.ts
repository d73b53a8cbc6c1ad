import { type Context, isLocal } from '../context.ts'
import { forbidden, MatrixError, notFound } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type Actor } from '../rooms/actor.ts'
import { type Account, accountByUserId } from '../storage/accounts.ts'

/** The account that an administrator means, deactivated ones included. Throws `notFound`; 400 for another server's user. */
export async function localAccount(ctx: Context, userId: UserId): Promise<Account> {
  if (!isLocal(ctx, userId)) throw new MatrixError('M_UNKNOWN', 'That user does not belong to this server')
  const account = await accountByUserId(ctx.db.kysely, userId)
  if (!account) throw notFound('User not found')
  return account
}

/** `localAccount`, and not the caller's own, which they would shut themselves out of. Throws `forbidden`. */
export function otherAccount(ctx: Context, caller: { readonly userId: UserId }, userId: UserId): Promise<Account> {
  if (caller.userId === userId) throw forbidden('That is your own account')
  return localAccount(ctx, userId)
}

/** The server itself, in a user's name. */
export function actorOf(account: Account): Actor {
  const { userId, userNumber, isAdmin, isGuest, isSuspended } = account
  return { userId, userNumber, deviceId: null, isAdmin, isGuest, isSuspended }
}
