import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { transaction } from '../storage/database.ts'
import {
  deleteRegistrationToken, insertRegistrationToken, isUsableRegistrationToken, type RegistrationToken,
  registrationToken, registrationTokens, updateRegistrationToken,
} from '../storage/registration-tokens.ts' // prettier-ignore

/** https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration */
const grammar = /^[A-Za-z0-9._~-]{1,64}$/
/** Characters of a token that the server draws, unless the request says otherwise. */
const defaultLength = 16
export const tokenLengthLimit = 64
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-'

const unknown = () => notFound('No such registration token')

/** What an administrator says of a token. `null`: without limit. */
export interface TokenLimits {
  readonly usesAllowed?: number | null
  /** Milliseconds since the epoch. */
  readonly expiresTs?: number | null
}

/** All tokens; with `isUsable`, only those that can, or cannot, be used now. */
export async function listTokens(ctx: Context, isUsable: boolean | null): Promise<RegistrationToken[]> {
  const nowTs = ctx.clock.now()
  const all = await registrationTokens(ctx.db.kysely, nowTs)
  return isUsable === null ? all : all.filter(token => isUsableRegistrationToken(token, nowTs) === isUsable)
}

/** One token. Throws `notFound`. */
export async function findToken(ctx: Context, token: string): Promise<RegistrationToken> {
  const found = await registrationToken(ctx.db.kysely, token, ctx.clock.now())
  if (!found) throw unknown()
  return found
}

/** Makes a token, drawn by the server unless one is given. Throws `invalidParam` for one that is taken or is none. */
export async function makeToken(
  ctx: Context,
  request: { readonly token: string | null; readonly length: number | null } & TokenLimits,
): Promise<RegistrationToken> {
  const token = request.token ?? drawToken(ctx, request.length ?? defaultLength)
  if (!grammar.test(token)) throw invalidParam('token must consist of A-Z, a-z, 0-9, . _ ~ - and be at most 64 long')
  checkExpiry(ctx, request)
  const isNew = await transaction(ctx.db, tx =>
    insertRegistrationToken(tx, token, request.usesAllowed ?? null, request.expiresTs ?? null),
  )
  if (!isNew) throw invalidParam('Token already exists')
  return findToken(ctx, token)
}

function drawToken(ctx: Context, length: number): string {
  return Array.from({ length }, () => alphabet.charAt(ctx.random.integer(alphabet.length))).join('')
}

function checkExpiry(ctx: Context, { expiresTs }: TokenLimits): void {
  if (typeof expiresTs === 'number' && expiresTs < ctx.clock.now()) {
    throw invalidParam('expiry_time must not be in the past')
  }
}

/** Changes what is given. Throws `notFound`, `invalidParam`. */
export async function changeToken(ctx: Context, token: string, changes: TokenLimits): Promise<RegistrationToken> {
  checkExpiry(ctx, changes)
  if (!(await transaction(ctx.db, tx => updateRegistrationToken(tx, token, changes)))) throw unknown()
  return findToken(ctx, token)
}

/** Takes a token back. Throws `notFound`. */
export async function removeToken(ctx: Context, token: string): Promise<void> {
  if (!(await transaction(ctx.db, tx => deleteRegistrationToken(tx, token)))) throw unknown()
}

/** A token in the fields that Synapse has. */
export function tokenAnswer(token: RegistrationToken) {
  return {
    token: token.token,
    uses_allowed: token.usesAllowed,
    pending: token.pending,
    completed: token.completed,
    expiry_time: token.expiresTs,
  }
}
