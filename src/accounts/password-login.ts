import { type Context } from '../context.ts'
import { badJson, forbidden, limitExceeded, MatrixError } from '../errors.ts'
import { localpartOf, parseUserId, serverNameOf, type UserId, userIdOf } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { type Account, accountByUserId, replacePasswordHash } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { hashPassword, isOutdatedHash, verifyPassword } from './passwords.ts'

/** What somebody who named himself is to be called here; `null` for a name that no local user can have. */
export function localUser(ctx: Context, name: string): UserId | null {
  // Capitals are forgiven: no account has any. https://spec.matrix.org/v1.19/appendices/#user-identifiers
  if (!name.startsWith('@')) return userIdOf(name.toLowerCase(), ctx.serverName)
  const parsed = parseUserId(name)
  if (!parsed || serverNameOf(parsed) !== ctx.serverName) return null
  return userIdOf(localpartOf(parsed).toLowerCase(), ctx.serverName)
}

/** Whom a request names. */
export type NamedUser =
  /** Nobody: neither `identifier` nor `user` is there. */
  | { readonly kind: 'none' }
  /** `userId` is `null` for a name that no local user can have. */
  | { readonly kind: 'user'; readonly userId: UserId | null }

/**
 * Whom `identifier`, or the deprecated `user`, names. Throws `forbidden` for third-party identifiers, which this server does
 * not know; `M_UNKNOWN` for other types. https://spec.matrix.org/v1.19/client-server-api/#identifier-types
 */
export function namedUser(ctx: Context, body: JsonObject): NamedUser {
  const { identifier, user } = body
  if (identifier === undefined || identifier === null) {
    if (typeof user === 'string') return { kind: 'user', userId: localUser(ctx, user) }
    if (user !== undefined && user !== null) throw badJson('user must be a string')
    if (body.medium !== undefined || body.address !== undefined) throw unknownThirdParty()
    return { kind: 'none' }
  }
  if (!isJsonObject(identifier)) throw badJson('identifier must be an object')
  switch (identifier.type) {
    case 'm.id.user':
      if (typeof identifier.user !== 'string') throw badJson('identifier.user must be a string')
      return { kind: 'user', userId: localUser(ctx, identifier.user) }
    case 'm.id.thirdparty':
    case 'm.id.phone':
      throw unknownThirdParty()
    case undefined:
      if (identifier.medium !== undefined) throw unknownThirdParty()
      throw badJson('identifier.type is missing')
    default:
      throw new MatrixError('M_UNKNOWN', 'Unknown type of identifier')
  }
}

const unknownThirdParty = () => forbidden('Invalid username or password')

/**
 * The account whose name and password these are; `null` if they are not. Takes the same time for users who are unknown or
 * have no password. Throws `limitExceeded` after too many failures under this name (`purpose` keeps those of strangers apart
 * from those of somebody who is signed in).
 */
export async function checkPassword(
  ctx: Context,
  userId: UserId | null,
  password: string,
  purpose: 'login' | 'interactive',
): Promise<Account | null> {
  const limitKey = `${purpose} ${userId ?? ''}`
  const waitMs = ctx.limiter.peek('loginFailure', limitKey)
  if (waitMs > 0) throw limitExceeded(waitMs)
  const account = userId === null ? null : await accountByUserId(ctx.db.kysely, userId)
  const passwordHash = account?.passwordHash ?? null
  const isRight = await verifyPassword(ctx, passwordHash, password)
  if (!isRight || !account || passwordHash === null) {
    ctx.limiter.take('loginFailure', limitKey)
    return null
  }
  if (!isOutdatedHash(ctx, passwordHash)) return account
  const fresh = await hashPassword(ctx, password)
  await transaction(ctx.db, tx => replacePasswordHash(tx, account.userNumber, passwordHash, fresh))
  return { ...account, passwordHash: fresh }
}

/**
 * True if somebody who is signed in knows the account's password. `auth` may name the user, and then it must be this one:
 * anybody else is `forbidden`.
 */
export async function proveOwnPassword(
  ctx: Context,
  userId: UserId,
  auth: JsonObject,
  password: string,
): Promise<boolean> {
  const named = namedUser(ctx, auth)
  if (named.kind === 'user' && named.userId !== userId) throw forbidden('That is not your account')
  return (await checkPassword(ctx, userId, password, 'interactive')) !== null
}
