import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { MatrixError, unknownToken } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { describeError } from '../log.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { transaction } from '../storage/database.ts'
import { touchDevice } from '../storage/devices.ts'
import { confirmRefresh, ownerOfToken, type TokenOwner } from '../storage/tokens.ts'
import { today } from './dates.ts'
import { readToken } from './tokens.ts'

/** Sessions that are remembered; a forgotten one is read again. */
const sessionLimit = 50_000

interface Session {
  readonly user: User
  readonly isLocked: boolean
  readonly expiresTs: number | null
  lastSeenOn: string
}

/** The sessions that a server remembers, by hash of the token. An entry of the log says when to forget a user's. */
class Sessions {
  readonly #byToken: LRUCache<string, Session>
  readonly #tokensOf = new Map<UserId, Set<string>>()
  /** Counts the entries of the log that concern sessions: what was read before one may be out of date after it. */
  #changes = 0

  constructor(ctx: Context) {
    this.#byToken = new LRUCache<string, Session>({
      max: sessionLimit,
      dispose: (session, token) => {
        const tokens = this.#tokensOf.get(session.user.userId)
        tokens?.delete(token)
        if (tokens?.size === 0) this.#tokensOf.delete(session.user.userId)
      },
    })
    ctx.log.subscribe(entries => {
      for (const entry of entries) {
        if (entry.kind !== 'session') continue
        this.#changes += 1
        for (const token of [...(this.#tokensOf.get(entry.userId) ?? [])]) this.#byToken.delete(token)
      }
    })
  }

  /** A number that changes whenever some session does. */
  get changes(): number {
    return this.#changes
  }

  get(token: string): Session | undefined {
    return this.#byToken.get(token)
  }

  set(token: string, session: Session): void {
    this.#byToken.set(token, session)
    const tokens = this.#tokensOf.get(session.user.userId)
    if (tokens) tokens.add(token)
    else this.#tokensOf.set(session.user.userId, new Set([token]))
  }
}

const sessionsOf = perServer(ctx => new Sessions(ctx))

/** 401: an administrator has locked the account. https://spec.matrix.org/v1.19/client-server-api/#account-locking */
export const accountLocked = (): MatrixError =>
  new MatrixError('M_USER_LOCKED', 'This account has been locked', { fields: { soft_logout: true } })

/**
 * Whose access token this is. Throws `unknownToken` for one that is unknown, malformed or revoked, and for one that has
 * expired (then as a soft logout); `M_USER_LOCKED` for a locked account unless `evenIfLocked`: such a user may still log out.
 * https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
export async function authenticateToken(
  ctx: Context,
  token: string,
  options: { readonly evenIfLocked?: boolean } = {},
): Promise<User> {
  const hash = readToken(token, 'access')
  if (!hash) throw unknownToken()
  const sessions = sessionsOf(ctx)
  const key = hash.toString('base64')
  const session = sessions.get(key) ?? (await readSession(ctx, sessions, key, hash))
  if (session.expiresTs !== null && session.expiresTs <= ctx.clock.now()) throw unknownToken(true)
  if (session.isLocked && options.evenIfLocked !== true) throw accountLocked()
  const day = today(ctx.clock)
  if (session.lastSeenOn < day) {
    session.lastSeenOn = day
    noteUse(ctx, session.user, day)
  }
  return session.user
}

async function readSession(ctx: Context, sessions: Sessions, key: string, hash: Buffer): Promise<Session> {
  const changesBefore = sessions.changes
  const owner = await ownerOfToken(ctx.db.kysely, hash)
  if (!owner) throw unknownToken()
  if (owner.confirmsRefresh) {
    await transaction(ctx.db, tx => confirmRefresh(tx, owner.userNumber, owner.deviceId, hash))
  }
  const session = sessionOf(owner, hash)
  // An entry that came while the database was read may have revoked what was read.
  if (sessions.changes === changesBefore) sessions.set(key, session)
  return session
}

function sessionOf(owner: TokenOwner, hash: Buffer): Session {
  return {
    user: {
      userId: owner.userId,
      userNumber: owner.userNumber,
      deviceId: owner.deviceId,
      isAdmin: owner.isAdmin,
      isGuest: owner.isGuest,
      isSuspended: owner.isSuspended,
      tokenHash: hash,
    },
    isLocked: owner.isLocked,
    expiresTs: owner.expiresTs,
    lastSeenOn: owner.lastSeenOn,
  }
}

/** Writes the day down without holding up the request: the next day it is tried again. */
function noteUse(ctx: Context, user: User, day: string): void {
  const { deviceId, userNumber } = user
  if (deviceId === null) return
  transaction(ctx.db, tx => touchDevice(tx, userNumber, deviceId, day)).catch((error: unknown) => {
    ctx.logger.warn('Could not note the day of a device', describeError(error))
  })
}
