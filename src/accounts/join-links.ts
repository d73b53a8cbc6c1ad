import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { transaction } from '../storage/database.ts'
import { insertJoinLink, type JoinLink, takeJoinLink, usableJoinLink } from '../storage/join-links.ts'
import { drawRecoveryCode } from './recovery.ts'
import { register } from './registration.ts'
import { newToken, readToken } from './tokens.ts'

/** Makes a link with which people may make accounts: returns its token, for `/join/<token>`. */
export async function createJoinLink(
  ctx: Context,
  link: { readonly isAdmin: boolean; readonly usesAllowed: number; readonly lifetimeMs: number },
): Promise<string> {
  const { token, hash } = newToken(ctx.random, 'join')
  const expiresTs = ctx.clock.now() + link.lifetimeMs
  const { isAdmin, usesAllowed } = link
  await transaction(ctx.db, tx => insertJoinLink(tx, hash, { isAdmin, usesAllowed, expiresTs }))
  return token
}

/** The link of a token, if it can be used; otherwise `null`. */
export async function findJoinLink(ctx: Context, token: string): Promise<JoinLink | null> {
  const hash = readToken(token, 'join')
  return hash && usableJoinLink(ctx.db.kysely, hash, ctx.clock.now())
}

/**
 * Makes the account that a link allows; the link is used exactly when the account is made. Returns the account's recovery
 * code, which must be shown now. Throws `notFound` if the link
 * cannot be used, `M_USER_IN_USE` if the name was taken meanwhile.
 */
export async function joinByLink(
  ctx: Context,
  token: string,
  account: { readonly userId: UserId; readonly password: string },
): Promise<string> {
  const hash = readToken(token, 'join')
  const link = hash && (await usableJoinLink(ctx.db.kysely, hash, ctx.clock.now()))
  if (!hash || !link) throw unusableLink()
  const recovery = drawRecoveryCode(ctx.random)
  await register(ctx, { ...account, isAdmin: link.isAdmin, recoveryHash: recovery.hash }, null, async tx => {
    if (!(await takeJoinLink(tx, hash, ctx.clock.now()))) throw unusableLink()
  })
  return recovery.code
}

const unusableLink = () => notFound('This link cannot be used any more')
