import { type Request, type Response } from 'express'
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import { type Socket } from 'node:net'
import { systemClock } from '../clock.ts'
import { type Context } from '../context.ts'
import { type MatrixError, unrecognized } from '../errors.ts'
import { describeError } from '../log.ts'
import { createAddressKeys } from './address.ts'
import { type Answer, refusalOf, writeAnswer } from './answer.ts'
import { type Authenticators, type RecordAdminUse } from './authenticate-port.ts'
import { expectContinue } from './body.ts'
import { isApiPath, preflightHeaders } from './cors.ts'
import { type Endpoint } from './endpoint.ts'
import { PathTrie } from './hot-path.ts'
import { createRequestMetrics, type RequestMetrics } from './metrics.ts'
import { logAnswer, mountedEndpoint, type MountedEndpoint, type Pipeline, serve } from './pipeline.ts'
import { RequestEnds } from './request-end.ts'
import { buildRouter, createApplication, type RoutedPath } from './router.ts'
import { splitTarget } from './target.ts'

/** Limits of connections. Anything slower or larger is cut off by Node, before the endpoints. */
export const headerLimitBytes = 16 * 1024
export const headersTimeoutMs = 15_000
/** The whole request: uploads take long. JSON bodies have `bodyTimeoutMs`. */
export const requestTimeoutMs = 600_000
/** Longer than proxies keep theirs (60 s), so that none sends a request into a connection that is being closed. */
export const keepAliveTimeoutMs = 65_000
/** Where the settings say nothing else; the listener for administrators has this. */
export const defaultConnectionLimit = 2_000

export interface HttpOptions {
  /** `front` (the default): a compact dispatcher answers, Express what is left. `express`: Express alone. */
  readonly wayIn?: 'front' | 'express'
  /** Addresses and CIDR ranges whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: readonly string[]
  readonly connectionLimit?: number
  /** The refusal that an error of the layers below means, or `null` for a fault of the server. */
  readonly translateError?: (error: unknown) => MatrixError | null
  readonly metrics?: RequestMetrics
  /** Needed where an endpoint is for administrators. */
  readonly recordAdminUse?: RecordAdminUse
}

export interface HttpServer {
  /** Not listening yet. */
  readonly server: Server
  readonly metrics: RequestMetrics
  /**
   * Stops accepting, waits for the requests that are running, at most `graceMs`, and then cuts what is left. The context's
   * `shutdown` should be aborted first, so that long polls answer.
   */
  close(graceMs: number): Promise<void>
}

/**
 * Puts endpoints behind HTTP. Throws when two are declared for one method and path, or when one asks for an authentication
 * that `authenticators` lacks.
 */
export function createHttpServer(
  ctx: Context,
  endpoints: readonly Endpoint[],
  authenticators: Authenticators,
  options: HttpOptions = {},
): HttpServer {
  const metrics = options.metrics ?? createRequestMetrics()
  const pipeline: Pipeline = {
    ctx,
    authenticators,
    addressKey: createAddressKeys(ctx.clock, ctx.random, options.trustedProxies ?? []),
    ends: new RequestEnds(ctx.shutdown),
    translateError: options.translateError ?? (() => null),
    recordAdminUse: options.recordAdminUse,
  }
  if (!options.recordAdminUse && endpoints.some(({ auth }) => auth === 'admin')) {
    throw new Error('nobody writes down what administrators do')
  }
  const paths = mountAll(endpoints, authenticators, metrics)
  const trie = new PathTrie<MountedEndpoint>()
  for (const { path, mounted } of paths) trie.add(mounted.endpoint.method, path, mounted)

  const recordUnmatched = metrics.forEndpoint('unmatched', 'any')
  const refuseUnmatched = (request: IncomingMessage, response: ServerResponse, methods: readonly string[] | null) => {
    const refusal = refusalOf(unrecognized(methods ? 405 : 404))
    const answer: Answer = methods ? { ...refusal, headers: { Allow: [...methods, 'OPTIONS'].join(', ') } } : refusal
    recordUnmatched(answer.status, 0)
    logAnswer(pipeline, 'unmatched', 'any', answer, 0)
    const { path } = splitTarget(request.url ?? '')
    // Never rejects.
    void writeAnswer(request, response, answer, isApiPath(path), ctx.shutdown.aborted)
  }

  /** The dispatcher: true when it has taken the request. */
  const dispatch = (request: IncomingMessage, response: ServerResponse): boolean => {
    const target = splitTarget(request.url ?? '')
    const found = trie.match(methodOf(request), target.path)
    if (found.kind !== 'found') return false
    void serve(pipeline, found.value, found.params, target, request, response)
    return true
  }

  const application = createApplication()
  application.use((request: Request, response: Response, next) => {
    if (request.method !== 'OPTIONS') return next()
    response.writeHead(204, [...preflightHeaders]).end()
  })
  application.use(
    buildRouter(paths, (mounted, request, response) => {
      const target = splitTarget(request.originalUrl)
      // A path without wildcards has parameters of one segment each, so every value is a string.
      void serve(pipeline, mounted, request.params as Record<string, string>, target, request, response)
    }),
  )
  application.use((request: Request, response: Response) => {
    const found = trie.match(methodOf(request), splitTarget(request.originalUrl).path)
    refuseUnmatched(request, response, found.kind === 'wrong_method' ? found.methods : null)
  })
  application.use((error: unknown, request: Request, response: Response, _next: unknown) => {
    // Express itself fails only where a parameter is badly encoded; who is calling must be asked before that is said.
    request.url = request.originalUrl
    if (dispatch(request, response)) return
    ctx.logger.warn('A request could not be routed', describeError(error))
    refuseUnmatched(request, response, null)
  })

  const { IncomingRequest, OutgoingResponse } = expressConstructors(application)
  const server = createServer({
    IncomingMessage: IncomingRequest,
    ServerResponse: OutgoingResponse,
    maxHeaderSize: headerLimitBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: 5_000,
  })
  server.maxConnections = options.connectionLimit ?? defaultConnectionLimit
  const usesFront = (options.wayIn ?? 'front') === 'front'
  const connections = new Connections(server)
  const accept = (request: IncomingMessage, response: ServerResponse) => {
    connections.note(request.socket, response)
    response.on('error', ignore)
    if (usesFront && dispatch(request, response)) return
    if (request.url?.[0] !== '/') request.url = splitTarget(request.url ?? '').path || '/'
    // The constructors above made them with Express's prototypes.
    application(request as Request, response as Response)
  }
  server.on('request', accept)
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    expectContinue(request)
    accept(request, response)
  })
  server.on('clientError', answerClientError)

  return {
    server,
    metrics,
    close: graceMs => closeServer(server, connections, graceMs),
  }
}

function ignore(): void {}

/** Node answers HEAD like GET and leaves the body out. */
function methodOf(request: IncomingMessage): string {
  return request.method === 'HEAD' ? 'GET' : (request.method ?? '')
}

function mountAll(
  endpoints: readonly Endpoint[],
  authenticators: Authenticators,
  metrics: RequestMetrics,
): readonly RoutedPath[] {
  return endpoints.flatMap(endpoint => {
    const [pattern = ''] = endpoint.paths
    if (endpoint.auth === 'server' && !authenticators.server) throw new Error(`nobody checks signatures for ${pattern}`)
    if (endpoint.auth === 'appservice' && !authenticators.appservice) throw new Error(`nobody checks ${pattern}`)
    const mounted = mountedEndpoint(endpoint, pattern, metrics.forEndpoint(pattern, endpoint.method))
    return endpoint.paths.map(path => ({ path, mounted }))
  })
}

/**
 * Constructors whose instances have Express's prototypes from birth. Express gives every request and response its own
 * prototype, which costs more than all the rest of it; an object that has that prototype already is left alone.
 */
function expressConstructors(application: ReturnType<typeof createApplication>) {
  class IncomingRequest extends IncomingMessage {}
  class OutgoingResponse extends ServerResponse<IncomingRequest> {}
  // Express's prototypes are Node's with methods added, and the application's are those with `app` added.
  for (const [prototype, source] of [
    [IncomingRequest.prototype, application.request],
    [OutgoingResponse.prototype, application.response],
  ] as const) {
    const inherited: object = Object.getPrototypeOf(source) as object
    Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(inherited))
    Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(source))
  }
  application.request = IncomingRequest.prototype as unknown as typeof application.request
  application.response = OutgoingResponse.prototype as unknown as typeof application.response
  return { IncomingRequest, OutgoingResponse }
}

/** What Node could not read as a request is refused in JSON too. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, errcode] =
    error.code === 'HPE_HEADER_OVERFLOW' ? ['431 Request Header Fields Too Large', 'M_TOO_LARGE']
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ['408 Request Timeout', 'M_UNKNOWN']
    : ['400 Bad Request', 'M_UNKNOWN'] // prettier-ignore
  const body = JSON.stringify({ errcode, error: 'The request could not be read' })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  )
}

/** How long a connection that has not brought a request yet may still bring one when the server closes. */
const firstRequestGraceMs = 1_000

/** The open connections and how many requests each is busy with: when the server closes, those without one are cut. */
class Connections {
  readonly #busyWith = new Map<Socket, number>()
  /** Those that have not brought a request yet. */
  readonly #fresh = new Set<Socket>()
  #isClosing = false

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#busyWith.set(socket, 0)
      this.#fresh.add(socket)
      socket.once('close', () => {
        this.#busyWith.delete(socket)
        this.#fresh.delete(socket)
      })
    })
  }

  note(socket: Socket, response: ServerResponse): void {
    this.#fresh.delete(socket)
    this.#add(socket, 1)
    response.once('close', () => {
      this.#add(socket, -1)
      if (this.#isClosing) this.#cutIfIdle(socket)
    })
  }

  /** Node's own `closeIdleConnections` leaves those alone that have never sent anything. */
  closeIdle(): void {
    this.#isClosing = true
    for (const socket of this.#busyWith.keys()) if (!this.#fresh.has(socket)) this.#cutIfIdle(socket)
  }

  /** Ends those too whose first request did not come. */
  closeFresh(): void {
    for (const socket of this.#fresh) this.#cutIfIdle(socket)
  }

  #add(socket: Socket, count: number): void {
    const busyWith = this.#busyWith.get(socket)
    if (busyWith !== undefined) this.#busyWith.set(socket, busyWith + count)
  }

  #cutIfIdle(socket: Socket): void {
    if (this.#busyWith.get(socket) === 0) socket.destroySoon()
  }
}

/** What has been accepted is served: somebody opens a connection because a request is on its way. */
async function closeServer(server: Server, connections: Connections, graceMs: number): Promise<void> {
  if (!server.listening) return
  // What stands in the queue of the system would be reset: it has just been emptied when the loop comes here.
  await new Promise(setImmediate)
  await new Promise<void>(resolve => {
    // Sockets live in real time, whatever the clock of the server says.
    const timer = systemClock.setTimeout(() => server.closeAllConnections(), graceMs)
    const freshTimer = systemClock.setTimeout(() => connections.closeFresh(), Math.min(firstRequestGraceMs, graceMs))
    server.close(() => {
      timer.clear()
      freshTimer.clear()
      resolve()
    })
    connections.closeIdle()
  })
}
