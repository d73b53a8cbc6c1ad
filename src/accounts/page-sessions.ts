import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Context } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type Account, accountByNumber, lockAccount } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { deletePageSession, insertPageSession, pageVisitor, type PageVisitor } from '../storage/page-sessions.ts'
import { accountLocked } from './authenticate.ts'
import { checkPassword, namedUser } from './password-login.ts'
import { newToken, readToken } from './tokens.ts'

export { type PageVisitor } from '../storage/page-sessions.ts'

/** How long somebody is signed in to the pages. */
export const pageSessionLifetimeMs = 3_600_000

/**
 * Signs somebody in to the pages; returns what the browser's cookie is to hold. Throws `forbidden` for a wrong name or
 * password, `M_USER_LOCKED`, M_LIMIT_EXCEEDED.
 */
export async function signInToPages(ctx: Context, name: string, password: string): Promise<string> {
  const named = namedUser(ctx, { user: name.trim() })
  const account = await checkPassword(ctx, named.kind === 'user' ? named.userId : null, password, 'login')
  if (!account || account.isGuest) throw forbidden('Invalid username or password')
  return openPageSession(ctx, account)
}

/** Signs an account in to the pages whose password has just been checked. Throws like `signInToPages`. */
export async function openPageSession(ctx: Context, account: Account): Promise<string> {
  const { token, hash } = newToken(ctx.random, 'page')
  await transaction(ctx.db, async tx => {
    // Whoever changes the password meanwhile waits, or has finished: nobody slips in between.
    await lockAccount(tx, account.userNumber)
    const now = await accountByNumber(tx, account.userNumber)
    if (!now || now.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    if (now.isLocked) throw accountLocked()
    if (now.passwordHash !== account.passwordHash) throw forbidden('Invalid username or password')
    await insertPageSession(tx, hash, account.userNumber, ctx.clock.now() + pageSessionLifetimeMs)
  })
  return token
}

/** Who is signed in with a cookie; `null` if nobody is. */
export async function visitorOf(ctx: Context, cookie: string | null): Promise<PageVisitor | null> {
  const hash = cookie === null ? null : readToken(cookie, 'page')
  return hash && pageVisitor(ctx.db.kysely, hash, ctx.clock.now())
}

export async function signOutOfPages(ctx: Context, cookie: string): Promise<void> {
  const hash = readToken(cookie, 'page')
  if (hash) await transaction(ctx.db, tx => deletePageSession(tx, hash))
}

/** What the forms of a session have in them, so that no other page can send them: it says nothing of the cookie. */
export function formKey(cookie: string): string {
  return createHmac('sha256', cookie).update('form').digest('base64url')
}

/** True if a form was made for this session. */
export function isFormKey(cookie: string, given: string): boolean {
  const wanted = Buffer.from(formKey(cookie))
  const found = Buffer.from(given)
  return wanted.length === found.length && timingSafeEqual(wanted, found)
}
