import { type Context } from '../context.ts'
import { type JsonValue } from '../protocol/json.ts'
import { type ServerName } from '../protocol/identifiers.ts'
import { type User } from './endpoint.ts'

/** What another server's `X-Matrix` signature covers. https://spec.matrix.org/v1.19/server-server-api/#request-authentication */
export interface SignedRequest {
  readonly method: string
  /** Path and query exactly as they arrived. */
  readonly target: string
  /** The `Authorization` header. */
  readonly authorization: string
  /** The body as JSON whose unusual numbers are kept as written, or `undefined` when there is none. */
  readonly content: JsonValue | undefined
}

/** An access token and what was sent with it. */
export interface Credentials {
  readonly token: string
  /** Locked accounts are let in too: logging out. */
  readonly evenIfLocked: boolean
  /** Whom an application service says that it acts for; means nothing with other tokens. */
  readonly actingAs: { readonly userId: string | null; readonly deviceId: string | null }
}

/** What an administrator asked for. */
export interface AdminUse {
  readonly method: string
  /** The path as declared. */
  readonly pattern: string
  /** The values of its parameters: whom or what it is about. */
  readonly targets: readonly string[]
}

/** Writes down that an administrator used an endpoint, before it answers. Where it throws, the endpoint is not called. */
export type RecordAdminUse = (ctx: Context, caller: User, use: AdminUse) => Promise<void>

/**
 * Who is calling? The HTTP layer knows nothing of accounts, keys and registrations, so whoever does is handed to it. Each
 * function throws the `MatrixError` to answer with (401 for a credential that is not good).
 */
export interface Authenticators {
  /** The person, guest or application service behind an access token. */
  user(ctx: Context, credentials: Credentials): Promise<User>
  /** Absent where no application service can be registered: then no endpoint may ask for one. */
  readonly appservice?: (ctx: Context, credentials: Credentials) => Promise<User>
  /** Absent where there is no federation: then no endpoint may ask for it. */
  readonly server?: (ctx: Context, request: SignedRequest) => Promise<{ readonly serverName: ServerName }>
}
