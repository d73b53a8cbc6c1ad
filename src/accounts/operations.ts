import { missingToken, MatrixError } from '../errors.ts'
import { type User } from '../http/endpoint.ts'

/**
 * The caller of an endpoint that the spec lets people call without a token. This server knows no way to show who one is
 * without (no e-mail address, no telephone number), so it asks for one; guests have nothing that it could be about.
 */
export function requireUser(caller: User | null): User {
  if (!caller) throw missingToken()
  if (caller.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do that')
  return caller
}
