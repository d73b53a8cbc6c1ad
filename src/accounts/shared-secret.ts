import { createHmac, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { forbidden, MatrixError } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { checkNewPassword } from './passwords.ts'
import { checkProfileField, setProfileField } from './profile.ts'
import { availableUserId, register } from './registration.ts'
import { type OpenSession } from './sessions.ts'

/** How long a nonce waits for its request. */
const nonceLifetimeMs = 60_000
/** Nonces that wait at once; of more, the oldest are void. */
const nonceLimit = 1_000

/** The nonces that were given out, by when they expire. They are known to the process that gave them out, and to no other. */
const noncesOf = perServer(() => new LRUCache<string, number>({ max: nonceLimit }))

/** A nonce for one request within a minute. */
export function newNonce(ctx: Context): string {
  const nonce = Buffer.from(ctx.random.bytes(32)).toString('hex')
  noncesOf(ctx).set(nonce, ctx.clock.now() + nonceLifetimeMs)
  return nonce
}

export interface SecretRegistration {
  readonly nonce: string
  readonly username: string
  readonly password: string
  /** `null`: none. The MAC does not cover it. */
  readonly displayName: string | null
  /** Hexadecimal HMAC-SHA1, keyed with the secret, over the other fields. */
  readonly mac: string
  readonly isAdmin: boolean
  readonly userType: string | null
  readonly logsIn: boolean
}

/**
 * Makes an account for whoever knows `registration.shared_secret`, whatever the mode of registration. Throws `forbidden` if
 * the MAC is wrong, `M_UNKNOWN` if the nonce is, and what is wrong with the name or the password.
 */
export async function registerBySecret(
  ctx: Context,
  request: SecretRegistration,
): Promise<{ readonly userId: UserId; readonly session: OpenSession | null }> {
  const { sharedSecret } = ctx.config.registration
  if (sharedSecret === null) throw forbidden('Registration is disabled')
  const nonces = noncesOf(ctx)
  const expiresTs = nonces.get(request.nonce)
  // A nonce is good for one attempt, right or wrong.
  nonces.delete(request.nonce)
  if (expiresTs === undefined || expiresTs <= ctx.clock.now()) throw new MatrixError('M_UNKNOWN', 'Unrecognised nonce')
  if (!isSigned(sharedSecret, request)) throw forbidden('The MAC is not right')
  const userId = await availableUserId(ctx, request.username)
  checkNewPassword(request.password)
  checkProfileField('displayname', request.displayName)
  const session = await register(
    ctx,
    { userId, password: request.password, isAdmin: request.isAdmin },
    request.logsIn ? { deviceId: null, displayName: null, canRefresh: false } : null,
    () => Promise.resolve(),
  )
  if (request.displayName !== null) {
    const owner = { userId, userNumber: await ctx.numbers.user(userId) }
    await setProfileField(ctx, owner, 'displayname', request.displayName)
  }
  return { userId, session }
}

function isSigned(secret: string, request: SecretRegistration): boolean {
  const { nonce, username, password, isAdmin, userType } = request
  const parts = [nonce, username, password, isAdmin ? 'admin' : 'notadmin', ...(userType === null ? [] : [userType])]
  // A NUL inside a field would make two different requests look the same.
  if (parts.some(part => part.includes('\0'))) return false
  const expected = createHmac('sha1', secret).update(parts.join('\0')).digest()
  const given = Buffer.from(request.mac, 'hex')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
