import { type Clock } from './clock.ts'
import { type Config } from './config.ts'
import { type Limiter } from './limiter.ts'
import { type Logger } from './log.ts'
import { type ServerName, type UserId } from './protocol/identifiers.ts'
import { type SigningKey } from './protocol/signatures.ts'
import { type OpenKeyring } from './privacy/keyring/open-keyring.ts'
import { type Random } from './random.ts'
import { type Remote } from './remote.ts'
import { type Database } from './storage/database.ts'
import { type Log } from './storage/log.ts'
import { type MediaStore } from './storage/media-store.ts'
import { type Numbers } from './storage/numbers.ts'

/** Everything that a running server is made of. One per server; a test may run several in one process. */
export interface Context {
  readonly config: Config
  readonly serverName: ServerName
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly db: Database
  /** The one log: what is committed to it is told to everybody. */
  readonly log: Log
  /** Numbers of users, event types and state keys. */
  readonly numbers: Numbers
  /** The keys to what is sealed: keeps and destroys them. */
  readonly keyring: OpenKeyring
  /** This server's key: signs its events. */
  readonly signingKey: SigningKey
  readonly mediaStore: MediaStore
  readonly limiter: Limiter
  /** The outside: other servers. */
  readonly remote: Remote
  /** Aborted when the server drains: long polls answer, loops end. */
  readonly shutdown: AbortSignal
}

const perServerValues = new WeakMap<Context, Map<symbol, unknown>>()

/**
 * State that a module keeps for each server (a cache, a queue): `make` is called once for each context, when the module
 * first asks, and the value lives as long as the context.
 */
export function perServer<T>(make: (ctx: Context) => T): (ctx: Context) => T {
  const key = Symbol()
  return ctx => {
    let values = perServerValues.get(ctx)
    if (!values) perServerValues.set(ctx, (values = new Map()))
    if (!values.has(key)) values.set(key, make(ctx))
    // The value under a module's own symbol was made by its own `make`.
    return values.get(key) as T
  }
}

/** True if the user belongs to this server. */
export function isLocal(ctx: Context, userId: UserId): boolean {
  return userId.endsWith(`:${ctx.serverName}`) && userId.length > ctx.serverName.length + 1
}
