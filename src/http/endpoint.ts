import { type Readable } from 'node:stream'
import { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { type Context } from '../context.ts'
import { badJson, invalidParam, type MatrixError, missingParam } from '../errors.ts'
import { type LimitClass } from '../limiter.ts'
import { type DeviceId, type ServerName, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { isAdminPath } from './listeners.ts'
import { type Decoder, type Decoded, type Decoders } from './decoders.ts'

/** A signed-in user (or an appservice acting as one). */
export interface User {
  readonly userId: UserId
  readonly userNumber: number
  /** `null` only for appservices that act without a device. */
  readonly deviceId: DeviceId | null
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isSuspended: boolean
  /** The SHA-256 of the access token: what logging out revokes. */
  readonly tokenHash: Buffer | null
}

/** Who may call an endpoint. There is no default. */
export type Auth = 'none' | 'optional' | 'user' | 'guest' | 'appservice' | 'server' | 'admin'

/** What a handler is told of the caller, by the endpoint's `auth`. */
export interface Callers {
  none: null
  /** A token may be sent; if one is, it must be good. */
  optional: User | null
  /** A signed-in user who is not a guest. */
  user: User
  /** A signed-in user or guest. */
  guest: User
  appservice: User
  admin: User
  /** Another server, by its X-Matrix signature. */
  server: { readonly serverName: ServerName }
}

/** An answer that is more than a JSON object. */
export class Reply {
  readonly status: number
  /** A body without a type of its own is JSON. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON text that is already built, bytes, a stream, or nothing. */
  readonly body: string | Uint8Array | Readable | null

  constructor(
    body: string | Uint8Array | Readable | null,
    more: { status?: number; headers?: Record<string, string> } = {},
  ) {
    this.body = body
    this.status = more.status ?? 200
    this.headers = more.headers ?? {}
  }
}

/** JSON text that was built elsewhere (the hot paths join ready-made pieces). */
export function jsonText(text: string): Reply {
  return new Reply(text)
}

/** A JSON answer with a status other than 200. */
export function jsonReply(status: number, body: JsonObject): Reply {
  return new Reply(JSON.stringify(body), { status })
}

/** When nobody waits for a request's answer any more: the client has gone away, or the server drains. */
export interface RequestEnd {
  readonly isOver: boolean
  /** Calls the listener once when it is over, at once if it is already. Returns how to take it back. */
  listen(listener: () => void): () => void
}

export interface RequestFacts<A extends Auth, P, Q, B> {
  readonly caller: Callers[A]
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly end: RequestEnd
  /** A key for rate limits that stands for the caller's network address for a day; it is not the address. */
  readonly addressKey: string
  /** For pages. The APIs know no cookies. */
  readonly browser: Browser
  /** The raw body, for endpoints with `body: 'stream'`; its headers that such an endpoint needs. */
  readonly upload: { readonly stream: Readable; readonly contentType: string | null; readonly contentLength: number | null } // prettier-ignore
}

/** What a page needs to know of the browser that asks for it. */
export interface Browser {
  /** The value of a cookie, `null` if it was not sent. */
  readonly cookie: (name: string) => string | null
  /** False if the browser says that another site made it ask. One that says nothing is believed: no old one sends cookies
   *  to other sites' requests that are `SameSite=Strict`. */
  readonly isOwnPage: boolean
}

export interface EndpointDeclaration<A extends Auth, P extends Decoders, Q extends Decoders, B extends TSchema> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Express syntax: `/_matrix/client/v3/rooms/:roomId/join`. Paths under v3, aliases included, answer under r0 too. */
  readonly path: string
  /** Further paths of the same endpoint: other versions and unstable prefixes. */
  readonly aliases?: readonly string[]
  readonly auth: A
  /** `true`: under an administrators' path and yet for everybody, so that the public listener has it too. */
  readonly isPublic?: boolean
  /** Locked accounts may call it all the same: logging out. */
  readonly evenIfLocked?: boolean
  /** The class of its rate limit; `null` only where a limit would harm (sync, health). Keyed by user, else by address. */
  readonly limit: LimitClass | null
  readonly params?: P
  readonly query?: Q
  /** A TypeBox schema of a JSON object (unknown keys pass); `'stream'` for raw uploads; absent: no body is read. */
  readonly body?: B | 'stream'
  /** `true`: numbers must be what canonical JSON allows (events). */
  readonly canonicalBody?: boolean
  /** Bytes; 1 MiB where absent. */
  readonly bodyLimitBytes?: number
  readonly handle: (
    ctx: Context,
    request: RequestFacts<A, Decoded<P>, Decoded<Q>, Static<B>>,
  ) => Promise<JsonObject | Reply> | JsonObject | Reply
}

/** A declared endpoint, its types forgotten: what `mount` and the tests about the house work with. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly paths: readonly string[]
  readonly auth: Auth
  /** False: only a listener for administrators has it. */
  readonly isPublic: boolean
  readonly evenIfLocked: boolean
  readonly limit: LimitClass | null
  readonly params: Readonly<Record<string, Decoder<unknown>>>
  readonly query: Readonly<Record<string, Decoder<unknown>>>
  readonly bodySchema: TSchema | null
  readonly takesStream: boolean
  readonly canonicalBody: boolean
  readonly bodyLimitBytes: number
  /** Returns the body as declared, or throws the error that the spec has for what is wrong with it. */
  readonly checkBody: (body: JsonValue | undefined) => JsonObject
  readonly handle: (
    ctx: Context,
    request: RequestFacts<Auth, Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>, JsonObject>,
  ) => Promise<JsonObject | Reply> | JsonObject | Reply
}

const oneMebibyte = 1024 * 1024

/**
 * Declares an endpoint. The declaration is all that the server, its tests and its documents know of it: who may call it,
 * how often, what it takes. The handler returns the JSON body of a 200, or a `Reply`; it throws `MatrixError`s.
 */
export function endpoint<
  A extends Auth,
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- an endpoint without parameters has none
  P extends Decoders = {},
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- likewise
  Q extends Decoders = {},
  B extends TSchema = TSchema,
>(declaration: EndpointDeclaration<A, P, Q, B>): Endpoint {
  const { path } = declaration
  const stable = [path, ...(declaration.aliases ?? [])]
  const legacy = stable.filter(each => each.startsWith('/_matrix/client/v3/')).map(each => each.replace('/v3/', '/r0/'))
  const bodySchema = declaration.body === undefined || declaration.body === 'stream' ? null : declaration.body
  const declared: Endpoint = {
    method: declaration.method,
    paths: [...stable, ...legacy],
    auth: declaration.auth,
    isPublic: declaration.isPublic ?? !isAdminPath(path),
    evenIfLocked: declaration.evenIfLocked ?? false,
    limit: declaration.limit,
    params: declaration.params ?? {},
    query: declaration.query ?? {},
    bodySchema,
    takesStream: declaration.body === 'stream',
    canonicalBody: declaration.canonicalBody ?? false,
    bodyLimitBytes: declaration.bodyLimitBytes ?? oneMebibyte,
    checkBody: bodySchema ? bodyChecker(bodySchema) : () => ({}),
    // The mount gives each handler what its own declaration decoded, so the types agree again there.
    handle: declaration.handle as unknown as Endpoint['handle'],
  }
  declaredEndpoints.add(declared)
  return declared
}

const declaredEndpoints = new WeakSet<object>()

/** The endpoints among the exports of route modules. */
export function endpointsOf(...modules: readonly Readonly<Record<string, unknown>>[]): readonly Endpoint[] {
  return modules.flatMap(exports => Object.values(exports).filter(isEndpoint))
}

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && declaredEndpoints.has(value)
}

function bodyChecker(schema: TSchema): (body: JsonValue | undefined) => JsonObject {
  const validator = Compile(schema)
  return body => {
    if (!isJsonObject(body)) throw badJson('The request body must be a JSON object')
    if (validator.Check(body)) return body
    throw bodyError(validator.Errors(body))
  }
}

function bodyError(errors: { keyword: string; instancePath: string; params: object; message: string }[]): MatrixError {
  const first = errors[0]
  if (!first) return badJson('The request body has the wrong shape')
  const where = first.instancePath.slice(1).replaceAll('/', '.')
  if (first.keyword === 'required' && 'requiredProperties' in first.params) {
    const [name] = first.params.requiredProperties as string[]
    if (first.instancePath === '') return missingParam(name ?? 'unknown')
    return badJson(`Missing field: ${where}.${name}`)
  }
  if (first.keyword === 'type' || first.keyword === 'anyOf') return badJson(`${where} ${first.message}`)
  return invalidParam(`${where} is not valid`)
}
