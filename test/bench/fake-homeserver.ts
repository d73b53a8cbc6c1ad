import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

/** How the fake behaves; everything is off or immediate by default. */
export type FakeBehaviour = {
  /** The stages that registration asks for. */
  readonly stages?: readonly string[]
  /** The registration token it accepts. */
  readonly registrationToken?: string
  /** The secret of the administrators' endpoint; without one, the endpoint is absent. */
  readonly sharedSecret?: string
  /** Answers each request's first try by 429, asking for this many ms of patience. */
  readonly limitOnceMs?: number
  /** Every send is refused with this status. */
  readonly refuseSends?: number
  /** Delay in ms before every send is stored and answered. */
  readonly sendDelayMs?: number
}

type Room = { readonly members: Set<string>; readonly events: { position: number; body: string }[] }
type Reply = { status: number; body: object }

/** A Matrix server of one process and no rules: just enough for the generator to have something to load. */
export class FakeHomeserver {
  readonly #behaviour: FakeBehaviour
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  readonly #users = new Map<string, string>()
  readonly #rooms = new Map<string, Room>()
  readonly #oneTimeKeys = new Map<string, string[]>()
  readonly #waiters = new Set<() => void>()
  readonly #limited = new Set<string>()
  #position = 0
  #sessions = new Map<string, Set<string>>()
  /** Method and path without parameters, in order of arrival. */
  readonly requests: string[] = []

  private constructor(behaviour: FakeBehaviour) {
    this.#behaviour = behaviour
  }

  static async start(behaviour: FakeBehaviour = {}): Promise<FakeHomeserver> {
    const fake = new FakeHomeserver(behaviour)
    await new Promise<void>(resolve => fake.#server.listen(0, '127.0.0.1', 1_024, resolve))
    return fake
  }

  get origin(): string {
    // A server that listens on TCP has an address with a port.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get userCount(): number {
    return this.#users.size
  }

  async stop(): Promise<void> {
    for (const wake of this.#waiters) wake()
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const url = new URL(request.url ?? '/', 'http://fake')
    const name = `${request.method} ${url.pathname}`
    this.requests.push(name)
    const limitKey = `${name} ${text}`
    if (this.#behaviour.limitOnceMs !== undefined && url.pathname.includes('/v3/') && !this.#limited.has(limitKey)) {
      this.#limited.add(limitKey)
      reply(response, {
        status: 429,
        body: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: this.#behaviour.limitOnceMs },
      })
      return
    }
    const body: unknown = text === '' ? {} : JSON.parse(text)
    // The generator sends objects only; the tests would fail on anything else.
    reply(response, await this.#route(request, url, body as Record<string, unknown>))
  }

  async #route(request: IncomingMessage, url: URL, body: Record<string, unknown>): Promise<Reply> {
    const path = decodeURIComponent(url.pathname)
    if (path === '/_matrix/client/versions') return { status: 200, body: { versions: ['v1.19'] } }
    if (path === '/_matrix/client/v3/register') return this.#register(body)
    if (path === '/_synapse/admin/v1/register' && this.#behaviour.sharedSecret !== undefined) {
      return request.method === 'GET'
        ? { status: 200, body: { nonce: 'nonce' } }
        : this.#registerBySecret(body, this.#behaviour.sharedSecret)
    }
    const user = this.#users.get((request.headers.authorization ?? '').replace('Bearer ', ''))
    if (user === undefined) return { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } }
    const [, room = '', tail = ''] = /^\/_matrix\/client\/v3\/rooms\/([^/]+)\/(\w+)/.exec(path) ?? []
    if (path.endsWith('/createRoom')) return this.#createRoom(user)
    if (path.includes('/v3/join/')) return this.#join(user, path.slice(path.lastIndexOf('/') + 1))
    if (path.endsWith('/sync')) return this.#sync(user, url.searchParams)
    if (path.endsWith('/keys/upload')) return this.#uploadKeys(user, body)
    if (path.endsWith('/keys/query')) return { status: 200, body: { device_keys: body['device_keys'] } }
    if (path.endsWith('/keys/claim')) return this.#claim(body)
    if (tail === 'send') return this.#send(room, String(body['body']))
    if (tail === 'messages') return this.#messages(room, url.searchParams)
    return { status: 404, body: { errcode: 'M_UNRECOGNIZED' } }
  }

  #register(body: Record<string, unknown>): Reply {
    const stages = this.#behaviour.stages ?? ['m.login.dummy']
    const auth = body['auth'] as { type: string; session: string; token?: string } | undefined
    const session = auth?.session ?? `session${this.#sessions.size}`
    const passed = this.#sessions.get(session) ?? new Set<string>()
    this.#sessions.set(session, passed)
    const challenge = { session, flows: [{ stages }], params: {}, completed: [...passed] }
    if (auth === undefined) return { status: 401, body: challenge }
    if (auth.type === 'm.login.registration_token' && auth.token !== this.#behaviour.registrationToken) {
      return { status: 401, body: { ...challenge, errcode: 'M_UNAUTHORIZED' } }
    }
    passed.add(auth.type)
    if (!stages.every(stage => passed.has(stage))) return { status: 401, body: challenge }
    return this.#addUser(body)
  }

  #registerBySecret(body: Record<string, unknown>, secret: string): Reply {
    const signed = ['nonce', body['username'], body['password'], 'notadmin'].join('\0')
    const isRight = body['mac'] === createHmac('sha1', secret).update(signed).digest('hex')
    return isRight ? this.#addUser(body) : { status: 403, body: { errcode: 'M_FORBIDDEN' } }
  }

  #addUser(body: Record<string, unknown>): Reply {
    const user = `@${String(body['username'])}:fake`
    const token = `token-${this.#users.size}`
    this.#users.set(token, user)
    return { status: 200, body: { user_id: user, access_token: token, device_id: 'DEVICE' } }
  }

  #createRoom(user: string): Reply {
    const roomId = `!room${this.#rooms.size}:fake`
    this.#rooms.set(roomId, { members: new Set([user]), events: [] })
    return { status: 200, body: { room_id: roomId } }
  }

  #join(user: string, roomId: string): Reply {
    const room = this.#rooms.get(roomId)
    if (room === undefined) return { status: 403, body: { errcode: 'M_FORBIDDEN' } }
    room.members.add(user)
    return { status: 200, body: { room_id: roomId } }
  }

  async #send(roomId: string, body: string): Promise<Reply> {
    const room = this.#rooms.get(roomId)
    if (room === undefined) return { status: 403, body: { errcode: 'M_FORBIDDEN' } }
    if (this.#behaviour.refuseSends !== undefined) {
      return { status: this.#behaviour.refuseSends, body: { errcode: 'M_FORBIDDEN' } }
    }
    if (this.#behaviour.sendDelayMs !== undefined) {
      await new Promise(resolve => setTimeout(resolve, this.#behaviour.sendDelayMs))
    }
    this.#position += 1
    room.events.push({ position: this.#position, body })
    for (const wake of [...this.#waiters]) wake()
    return { status: 200, body: { event_id: `$${this.#position}` } }
  }

  async #sync(user: string, query: URLSearchParams): Promise<Reply> {
    const since = Number(query.get('since') ?? 0)
    const untilMs = performance.now() + Number(query.get('timeout') ?? 0)
    for (;;) {
      const rooms = [...this.#rooms].filter(([, room]) => room.members.has(user))
      const told = rooms
        .map(([roomId, room]) => [roomId, room.events.filter(event => event.position > since)] as const)
        .filter(([, events]) => events.length > 0 || since === 0)
      const leftMs = untilMs - performance.now()
      if (told.length > 0 || leftMs <= 0) {
        const join = told.map(([roomId, events]) => [roomId, { timeline: { events: events.slice(-20) } }])
        return { status: 200, body: { next_batch: String(this.#position), rooms: { join: Object.fromEntries(join) } } }
      }
      await new Promise<void>(resolve => {
        const wake = (): void => {
          clearTimeout(timer)
          this.#waiters.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, leftMs)
        this.#waiters.add(wake)
      })
      if (!this.#server.listening) return { status: 503, body: {} }
    }
  }

  #messages(roomId: string, query: URLSearchParams): Reply {
    const events = this.#rooms.get(roomId)?.events ?? []
    const from = Number(query.get('from') ?? events.length)
    const limit = Number(query.get('limit'))
    const chunk = events.slice(Math.max(0, from - limit), from).reverse()
    return { status: 200, body: { chunk, start: String(from), end: String(Math.max(0, from - limit)) } }
  }

  #uploadKeys(user: string, body: Record<string, unknown>): Reply {
    const keys = this.#oneTimeKeys.get(user) ?? []
    this.#oneTimeKeys.set(user, [...keys, ...Object.keys(body['one_time_keys'] ?? {})])
    return { status: 200, body: { one_time_key_counts: { signed_curve25519: keys.length } } }
  }

  #claim(body: Record<string, unknown>): Reply {
    const [user = ''] = Object.keys(body['one_time_keys'] ?? {})
    const key = this.#oneTimeKeys.get(user)?.pop()
    return { status: 200, body: { one_time_keys: key === undefined ? {} : { [user]: { DEVICE: { [key]: {} } } } } }
  }
}

function reply(response: ServerResponse, { status, body }: Reply): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}
