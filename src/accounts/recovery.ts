import { createHash, timingSafeEqual } from 'node:crypto'
import { type Context } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type Random } from '../random.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { accountByUserId } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { putRecoveryCode, recoveryCodeHash, replaceRecoveryCode } from '../storage/recovery-codes.ts'
import { changePassword } from './account.ts'
import { checkPassword, localUser } from './password-login.ts'
import { checkNewPassword } from './passwords.ts'

/** 131 bits. */
const codeLetters = 28
const groupLetters = 4

/** A new code and what is kept of it. */
export interface RecoveryCode {
  /** As people see it: `ABCD-EFGH-…`. To be shown once. */
  readonly code: string
  /** SHA-256. */
  readonly hash: Buffer
}

/** Draws a code; it is nobody's until its hash is written. */
export function drawRecoveryCode(random: Random): RecoveryCode {
  const letters = random.letters(codeLetters)
  const groups = letters.match(new RegExp(`.{${groupLetters}}`, 'g')) ?? []
  return { code: groups.join('-'), hash: hashOf(letters) }
}

/** However it is written: small letters, blanks and hyphens do not matter. */
function hashOf(code: string): Buffer {
  return createHash('sha256')
    .update(code.toUpperCase().replace(/[^A-Z]/g, ''))
    .digest()
}

/**
 * Gives an account a new recovery code; the one before is worth nothing from then on. Returns the code, which is not kept:
 * it must be shown now. Whoever calls this has made sure that it is the owner who asks. Throws `M_USER_DEACTIVATED`.
 */
export async function newRecoveryCode(ctx: Context, userNumber: number): Promise<string> {
  const { code, hash } = drawRecoveryCode(ctx.random)
  const isDone = await transaction(ctx.db, tx => putRecoveryCode(tx, userNumber, hash))
  if (!isDone) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
  return code
}

/** `newRecoveryCode` for whoever shows a password. Throws `forbidden` if name or password is wrong, `limitExceeded`. */
export async function recoveryCodeForPassword(ctx: Context, name: string, password: string): Promise<string> {
  const account = await checkPassword(ctx, localUser(ctx, name), password, 'login')
  if (!account) throw forbidden('Invalid username or password')
  return newRecoveryCode(ctx, account.userNumber)
}

/** Compared with where there is no code: nothing has this hash. */
const noHash = Buffer.alloc(32)

/**
 * Sets a new password for whoever has the recovery code of an account, ends all its sessions, and returns the user and the
 * code that takes the place of the one that was used. Throws `forbidden` in the same words for unknown names, accounts
 * without a code and wrong codes; `M_WEAK_PASSWORD`. A code cannot be found by trying, so wrong ones are not counted by
 * account, where anybody could keep the owner out: the caller limits requests by address.
 */
export async function recover(
  ctx: Context,
  request: { readonly name: string; readonly code: string; readonly password: string },
): Promise<{ readonly userId: UserId; readonly code: string }> {
  checkNewPassword(request.password)
  const userId = localUser(ctx, request.name)
  const account = userId === null ? null : await accountByUserId(ctx.db.kysely, userId)
  // No account has the number 0.
  const kept = await recoveryCodeHash(ctx.db.kysely, account?.userNumber ?? 0)
  const isRight = timingSafeEqual(hashOf(request.code), kept ?? noHash)
  if (!isRight || kept === null || account === null) throw wrongCode()
  const fresh = drawRecoveryCode(ctx.random)
  const change = { password: request.password, logOutOthers: true, keptDevice: null }
  await changePassword(ctx, account, change, async tx => {
    // Of two who use one code at once, one comes too late.
    if (!(await replaceRecoveryCode(tx, account.userNumber, kept, fresh.hash))) throw wrongCode()
  })
  return { userId: account.userId, code: fresh.code }
}

const wrongCode = (): MatrixError => forbidden('The name or the recovery code is wrong')
