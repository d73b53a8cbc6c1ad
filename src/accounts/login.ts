import { type Context } from '../context.ts'
import { forbidden, MatrixError, missingParam } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Account, accountByNumber, accountByUserId } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { insertLoginToken, takeLoginToken } from '../storage/tokens.ts'
import { type Proof, useProof } from './interactive-auth.ts'
import { userOfJwt } from './jwt.ts'
import { checkPassword, namedUser } from './password-login.ts'
import { createAccount } from './registration.ts'
import { type OpenSession, openSession, type SessionRequest } from './sessions.ts'
import { newToken, readToken } from './tokens.ts'

/** How long a login token may be used; what the spec recommends. */
export const loginTokenLifetimeMs = 120_000

/** The ways to log in that this server offers. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login */
export function loginFlows(ctx: Context): JsonObject[] {
  const { token, jwt } = ctx.config.login
  return [
    { type: 'm.login.password' },
    ...(token.enabled ? [{ type: 'm.login.token', get_login_token: true }] : []),
    ...(jwt === null ? [] : [{ type: 'org.matrix.login.jwt' }]),
  ]
}

/**
 * Logs somebody in who shows who he is: with a password, a login token or a JSON Web Token. Throws `forbidden` when what was
 * shown is not right, in the same words for unknown users and wrong passwords; `M_USER_DEACTIVATED`; `M_USER_LOCKED`;
 * `limitExceeded`; `M_UNKNOWN` for a type that is not offered.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login
 */
export async function logIn(
  ctx: Context,
  body: JsonObject & { readonly type: string },
  request: SessionRequest,
): Promise<OpenSession> {
  const account = await authenticated(ctx, body)
  return openSession(ctx, account, request)
}

async function authenticated(ctx: Context, body: JsonObject & { readonly type: string }): Promise<Account> {
  const { token, jwt } = ctx.config.login
  switch (body.type) {
    case 'm.login.password':
      return byPassword(ctx, body)
    case 'm.login.token':
      if (token.enabled) return byLoginToken(ctx, body)
      break
    case 'org.matrix.login.jwt':
      if (jwt !== null) return byJwt(ctx, body)
      break
  }
  throw new MatrixError('M_UNKNOWN', 'Unknown login type')
}

async function byPassword(ctx: Context, body: JsonObject): Promise<Account> {
  if (typeof body.password !== 'string') throw missingParam('password')
  const named = namedUser(ctx, body)
  if (named.kind === 'none') throw missingParam('identifier')
  const account = await checkPassword(ctx, named.userId, body.password, 'login')
  if (!account) throw forbidden('Invalid username or password')
  return account
}

async function byLoginToken(ctx: Context, body: JsonObject): Promise<Account> {
  if (typeof body.token !== 'string') throw missingParam('token')
  const hash = readToken(body.token, 'login')
  const userNumber = hash && (await transaction(ctx.db, tx => takeLoginToken(tx, hash, ctx.clock.now())))
  const account = userNumber === null ? null : await accountByNumber(ctx.db.kysely, userNumber)
  if (!account) throw forbidden('The login token is not valid')
  return account
}

async function byJwt(ctx: Context, body: JsonObject): Promise<Account> {
  if (typeof body.token !== 'string') throw missingParam('token')
  const userId = userOfJwt(ctx, body.token)
  const known = await accountByUserId(ctx.db.kysely, userId)
  if (known) return known
  // Whoever may sign tokens says who has an account: the first login makes it. Of two at once, one finds it made.
  await createAccount(ctx, { userId, passwordHash: null, isAdmin: false })
  const made = await accountByUserId(ctx.db.kysely, userId)
  if (!made) throw new Error('An account that was just made is not there')
  return made
}

/**
 * A token with which another device may log in, once, as the user. The proof is used up with it.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token
 */
export function createLoginToken(ctx: Context, user: User, proof: Proof): Promise<string> {
  const { token, hash } = newToken(ctx.random, 'login')
  return transaction(ctx.db, async tx => {
    await useProof(ctx, tx, proof)
    await insertLoginToken(tx, hash, user.userNumber, ctx.clock.now() + loginTokenLifetimeMs)
    return token
  })
}
