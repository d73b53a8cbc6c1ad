import jsonwebtoken from 'jsonwebtoken'
import { type Context } from '../context.ts'
import { forbidden } from '../errors.ts'
import { isStrictLocalpart, type UserId, userIdOf } from '../protocol/identifiers.ts'

/** Clocks of two servers differ. */
const clockToleranceSeconds = 30
/** Longer ones are refused before their signature is computed. */
const tokenLimitBytes = 16 * 1024

/**
 * The local user that a JSON Web Token names, whether the account exists or not. Throws `forbidden` for a token that is not
 * signed with the configured key and one of the configured algorithms, has expired, or is for somebody else to take.
 * `org.matrix.login.jwt` is not in the spec; Synapse defined it.
 */
export function userOfJwt(ctx: Context, token: string): UserId {
  const { jwt } = ctx.config.login
  if (jwt === null) throw new Error('Login with JSON Web Tokens is not configured')
  if (token.length > tokenLimitBytes) throw invalidJwt()
  let claims: string | jsonwebtoken.JwtPayload
  try {
    claims = jsonwebtoken.verify(token, jwt.secret, {
      // The algorithm is ours to say, never the token's.
      algorithms: [...jwt.algorithms],
      clockTimestamp: Math.floor(ctx.clock.now() / 1000),
      clockTolerance: clockToleranceSeconds,
      ...(jwt.issuer === null ? {} : { issuer: jwt.issuer }),
      ...(jwt.audiences === null ? {} : { audience: audienceOf(jwt.audiences) }),
    })
  } catch (error) {
    // Its subclasses, for expired and premature tokens, are included; anything else is a fault of ours.
    if (error instanceof jsonwebtoken.JsonWebTokenError) throw invalidJwt()
    throw error
  }
  const localpart: unknown = typeof claims === 'string' ? undefined : claims[jwt.subjectClaim]
  if (typeof localpart !== 'string') throw invalidJwt()
  const lowered = localpart.toLowerCase()
  const userId = isStrictLocalpart(lowered) ? userIdOf(lowered, ctx.serverName) : null
  if (userId === null) throw invalidJwt()
  return userId
}

function audienceOf(audiences: readonly string[]): [string, ...string[]] {
  const [first, ...rest] = audiences
  // An empty list of audiences accepts none; a text that no token carries says that.
  return [first ?? '', ...rest]
}

const invalidJwt = () => forbidden('The token is not valid')
