import { type Context } from '../context.ts'
import { limitExceeded, MatrixError } from '../errors.ts'
import { type LimitClass } from '../limiter.ts'
import { type DeviceId, type UserId } from '../protocol/identifiers.ts'

/** A local user who does something to a room; every signed-in caller is one. */
export interface Actor {
  readonly userId: UserId
  readonly userNumber: number
  /** `null` for those who act without a device: application services, and the server itself in a user's name. */
  readonly deviceId: DeviceId | null
  /** Whether they administer this server. */
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isSuspended: boolean
}

/**
 * Throws M_USER_SUSPENDED for a suspended account. Those may still leave rooms, reject invitations and redact what they
 * sent; everything else that others would see is refused.
 * https://spec.matrix.org/v1.19/client-server-api/#account-suspension
 */
export function refuseSuspended(actor: Actor): void {
  if (actor.isSuspended) throw new MatrixError('M_USER_SUSPENDED', 'Your account is suspended')
}

/** Takes a token of a limit that is not by caller: throws M_LIMIT_EXCEEDED when there is none. */
export function takeLimit(ctx: Context, limitClass: LimitClass, key: string): void {
  const waitMs = ctx.limiter.take(limitClass, key)
  if (waitMs > 0) throw limitExceeded(waitMs)
}
