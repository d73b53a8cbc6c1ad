import { type IncomingMessage, type ServerResponse } from 'node:http'
import { type Context } from '../context.ts'
import { forbidden, invalidParam, limitExceeded, MatrixError, missingToken, notJson } from '../errors.ts'
import { describeError } from '../log.ts'
import { type JsonObject, type JsonValue } from '../protocol/json.ts'
import { federationJsonDepthLimit, jsonDepthLimit } from '../protocol/json-reader.ts'
import { type Answer, answerOf, refusalOf, writeAnswer } from './answer.ts'
import { type Authenticators, type Credentials, type RecordAdminUse } from './authenticate-port.ts'
import { allowBody, parseBody, readBody, RequestAborted, watchUpload } from './body.ts'
import { isApiPath } from './cors.ts'
import { type Browser, type Callers, type Endpoint, type RequestEnd, type RequestFacts, type User } from './endpoint.ts'
import { type RequestEnds } from './request-end.ts'
import { parseQuery, type Query, type Target } from './target.ts'

/** What every request of a server needs. */
export interface Pipeline {
  readonly ctx: Context
  readonly authenticators: Authenticators
  readonly addressKey: (request: IncomingMessage) => string
  readonly ends: RequestEnds
  /** Turns an error of the layers below into the refusal that it means (the database is away: 503), or `null`. */
  readonly translateError: (error: unknown) => MatrixError | null
  /** Writes down that an administrator used an endpoint; absent where no endpoint is theirs. */
  readonly recordAdminUse?: RecordAdminUse | undefined
}

/** An endpoint under one of its paths, with what is kept for it. */
export interface MountedEndpoint {
  readonly endpoint: Endpoint
  /** The path as declared: what logs and metrics call it. */
  readonly pattern: string
  readonly isApi: boolean
  readonly record: (status: number, durationMs: number) => void
}

/** `params` is `null` when the path is badly percent-encoded. */
export type PathParams = Readonly<Record<string, string>> | null

/** Builds what is kept for one path of an endpoint. */
export function mountedEndpoint(
  endpoint: Endpoint,
  pattern: string,
  record: (status: number, durationMs: number) => void,
): MountedEndpoint {
  return { endpoint, pattern, isApi: isApiPath(pattern), record }
}

/**
 * Answers one request: who is calling, how often, what with, and then the handler. Both ways in (Express, and the
 * dispatcher in front of it) end here. Never rejects: whatever goes wrong becomes an answer.
 */
export async function serve(
  server: Pipeline,
  mounted: MountedEndpoint,
  params: PathParams,
  target: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { clock, logger, shutdown } = server.ctx
  const startedMs = clock.monotonic()
  let answer: Answer
  try {
    answer = answerOf(await produce(server, mounted, params, target, request, response))
  } catch (error) {
    // Nobody is there any more.
    if (error instanceof RequestAborted || request.errored instanceof RequestAborted) return
    const refusal = error instanceof MatrixError ? error : server.translateError(error)
    if (!refusal) {
      // A client that has gone away aborts what was done for it; that is no fault of the server.
      if (response.destroyed) return
      logger.error('A request failed', { ...describeError(error), endpoint: mounted.pattern, method: mounted.endpoint.method }) // prettier-ignore
    }
    answer = refusal ? refusalOf(refusal) : internalError
  }
  const durationMs = clock.monotonic() - startedMs
  mounted.record(answer.status, durationMs)
  logAnswer(server, mounted.pattern, mounted.endpoint.method, answer, durationMs)
  await writeAnswer(request, response, answer, mounted.isApi, shutdown.aborted)
}

const internalError: Answer = {
  status: 500,
  body: JSON.stringify({ errcode: 'M_UNKNOWN', error: 'Internal server error' }),
  headers: null,
  errcode: 'M_UNKNOWN',
}

/** One line for each answer: what was asked for by its pattern, never as it was requested. */
export function logAnswer(server: Pipeline, pattern: string, method: string, answer: Answer, durationMs: number): void {
  const { logger } = server.ctx
  const fields = {
    endpoint: pattern,
    method,
    status: answer.status,
    durationMs: Math.round(durationMs * 10) / 10,
    ...(answer.errcode === null ? {} : { errcode: answer.errcode }),
  }
  if (answer.status < 400) logger.debug('Answered', fields)
  else logger.info('Refused', fields)
}

async function produce(
  server: Pipeline,
  { endpoint, pattern }: MountedEndpoint,
  params: PathParams,
  target: Target,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const { ctx } = server
  const query = parseQuery(target.query)
  // A server's signature covers the body, so there the body comes first.
  let body: JsonValue | undefined
  let caller: Callers[Endpoint['auth']]
  if (endpoint.auth === 'server') {
    body = await readJson(endpoint, request, response, ctx)
    caller = await authenticateServer(server, target, request, body)
  } else {
    caller = await authenticate(server, endpoint, query, request)
  }
  const facts = new Facts(server, request, response, caller)
  if (endpoint.limit !== null) {
    const key = caller !== null && 'userNumber' in caller ? `u${caller.userNumber}` : `a${facts.addressKey}`
    const waitMs = ctx.limiter.take(endpoint.limit, key)
    if (waitMs > 0) throw limitExceeded(waitMs)
  }
  if (params === null) throw invalidParam('The path is badly encoded')
  if (query.isMalformed) throw invalidParam('The query is badly encoded')
  for (const name in endpoint.params) {
    const value = params[name]
    facts.params[name] = endpoint.params[name]?.decode(value === undefined ? [] : [value], name)
  }
  for (const name in endpoint.query) {
    facts.query[name] = endpoint.query[name]?.decode(query.values.get(name) ?? [], name)
  }
  if (endpoint.bodySchema) {
    if (endpoint.auth !== 'server') body = await readJson(endpoint, request, response, ctx)
    facts.body = endpoint.checkBody(body === undefined ? emptyBody(endpoint) : body)
  } else if (endpoint.takesStream) {
    allowBody(request, response)
    watchUpload(request, ctx.clock)
  }
  // Before it is done: what cannot be written down is not done.
  if (endpoint.auth === 'admin') await recordUse(server, endpoint, pattern, params, caller)
  return endpoint.handle(ctx, facts)
}

async function recordUse(
  server: Pipeline,
  { method }: Endpoint,
  pattern: string,
  params: Readonly<Record<string, string>>,
  caller: Callers[Endpoint['auth']],
): Promise<void> {
  if (!server.recordAdminUse || caller === null || !('userNumber' in caller)) throw new Error('no audit here')
  await server.recordAdminUse(server.ctx, caller, { method, pattern, targets: Object.values(params) })
}

/** The body as JSON, `undefined` when it is empty or none is declared. */
async function readJson(
  endpoint: Endpoint,
  request: IncomingMessage,
  response: ServerResponse,
  ctx: Context,
): Promise<JsonValue | undefined> {
  if (!endpoint.bodySchema) return undefined
  const bytes = await readBody(request, response, ctx.clock, endpoint.bodyLimitBytes)
  if (bytes.length === 0) return undefined
  if (endpoint.auth === 'server')
    return parseBody(bytes, { numbers: 'preserved', depthLimit: federationJsonDepthLimit })
  return parseBody(bytes, { numbers: endpoint.canonicalBody ? 'strict' : 'open', depthLimit: jsonDepthLimit })
}

/** No body is an empty object where nothing in it is required; clients leave it out there. */
function emptyBody(endpoint: Endpoint): JsonObject {
  const schema = endpoint.bodySchema
  const required = schema !== null && 'required' in schema ? schema.required : undefined
  if (Array.isArray(required) && required.length > 0) throw notJson('The request has no body')
  return {}
}

/**
 * The token, from the header or, deprecated but still in the spec, the query; `null` when none was sent.
 * https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
function tokenOf(request: IncomingMessage, query: Query): string | null {
  const header = request.headers.authorization
  const bearer = header === undefined ? null : /^bearer +(\S+) *$/i.exec(header)
  return bearer?.[1] ?? (query.values.get('access_token')?.[0] || null)
}

async function authenticate(
  server: Pipeline,
  endpoint: Endpoint,
  query: Query,
  request: IncomingMessage,
): Promise<User | null> {
  const { auth } = endpoint
  if (auth === 'none') return null
  const token = tokenOf(request, query)
  if (token === null) {
    if (auth === 'optional') return null
    throw missingToken()
  }
  const credentials: Credentials = {
    token,
    evenIfLocked: endpoint.evenIfLocked,
    actingAs: {
      userId: query.values.get('user_id')?.[0] ?? null,
      deviceId: query.values.get('device_id')?.[0] ?? query.values.get('org.matrix.msc3202.device_id')?.[0] ?? null,
    },
  }
  const { ctx, authenticators } = server
  if (auth === 'appservice') {
    if (!authenticators.appservice) throw new Error('no application services here')
    return authenticators.appservice(ctx, credentials)
  }
  const user = await authenticators.user(ctx, credentials)
  if (auth === 'user' && user.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do that')
  if (auth === 'admin') {
    if (!user.isAdmin) throw forbidden('You are not a server admin')
    if (user.isSuspended) throw new MatrixError('M_USER_SUSPENDED', 'Your account is suspended')
  }
  return user
}

async function authenticateServer(
  server: Pipeline,
  target: Target,
  request: IncomingMessage,
  content: JsonValue | undefined,
) {
  const { authorization } = request.headers
  if (authorization === undefined) throw new MatrixError('M_UNAUTHORIZED', 'Missing signature')
  if (!server.authenticators.server) throw new Error('no federation here')
  return server.authenticators.server(server.ctx, {
    method: request.method ?? '',
    target: target.query === '' ? target.path : `${target.path}?${target.query}`,
    authorization,
    content,
  })
}

/** What a handler is given. What costs something and few ask for is made when it is asked for. */
class Facts implements RequestFacts<Endpoint['auth'], Record<string, unknown>, Record<string, unknown>, JsonObject> {
  readonly caller: Callers[Endpoint['auth']]
  readonly params: Record<string, unknown> = {}
  readonly query: Record<string, unknown> = {}
  body: JsonObject = {}
  readonly #server: Pipeline
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #end: RequestEnd | null = null

  constructor(server: Pipeline, request: IncomingMessage, response: ServerResponse, caller: Callers[Endpoint['auth']]) {
    this.caller = caller
    this.#server = server
    this.#request = request
    this.#response = response
  }

  get end(): RequestEnd {
    this.#end ??= this.#server.ends.of(this.#response)
    return this.#end
  }

  get addressKey(): string {
    return this.#server.addressKey(this.#request)
  }

  get browser(): Browser {
    const { headers } = this.#request
    const site = headers['sec-fetch-site']
    return {
      cookie: name => cookieOf(headers.cookie ?? '', name),
      isOwnPage: site === undefined || site === 'same-origin' || site === 'none',
    }
  }

  get upload() {
    const { headers } = this.#request
    const length = headers['content-length']
    return {
      stream: this.#request,
      contentType: headers['content-type'] ?? null,
      contentLength: length === undefined ? null : Number(length),
    }
  }
}

function cookieOf(header: string, name: string): string | null {
  for (const pair of header.split(';')) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name) return value ?? null
  }
  return null
}
