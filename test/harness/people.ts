import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { type Exchange, exchange, type ExchangeRequest, jsonBody } from './exchange.ts'
import { type TestServer } from './server.ts'

/** The answer to a request that was expected to succeed and did not. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly status: number
  readonly errcode: string | null
  readonly body: JsonValue | undefined

  constructor(done: Exchange) {
    const body = done.json
    const errcode = isJsonObject(body) && typeof body['errcode'] === 'string' ? body['errcode'] : null
    super(`${done.method} ${done.target} answered ${done.status} ${done.bytes.toString('utf8').slice(0, 500)}`)
    this.status = done.status
    this.errcode = errcode
    this.body = body
  }
}

export type RequestOptions = Pick<ExchangeRequest, 'headers' | 'signal'> & { readonly query?: Query }

/** Query parameters; those that are `undefined` are left out, lists are repeated. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

/** Someone who speaks to a server, or nobody when there is no token. */
export class Caller {
  readonly baseUrl: string
  readonly accessToken: string | undefined
  #transactions = 0

  constructor(baseUrl: string, accessToken?: string) {
    this.baseUrl = baseUrl
    this.accessToken = accessToken
  }

  /**
   * Makes a request and returns whatever was answered. `path` is below `/_matrix/client/v3` unless it starts with
   * `/_matrix` or another root; what varies in it must be encoded (the `path` tag below does).
   */
  request(
    method: string,
    path: string,
    body?: ExchangeRequest['body'],
    options: RequestOptions = {},
  ): Promise<Exchange> {
    const target = /^\/(_|\.|health)/.test(path) ? path : `/_matrix/client/v3${path}`
    const { query, ...rest } = options
    return exchange(this.baseUrl, {
      method,
      target: withQuery(target, query ?? {}),
      token: this.accessToken,
      body,
      ...rest,
    })
  }

  /** The JSON object of an answer of 200. Throws `RefusedError` for another status. */
  async expect(
    method: string,
    path: string,
    body?: ExchangeRequest['body'],
    options?: RequestOptions,
  ): Promise<JsonObject> {
    const done = await this.request(method, path, body, options)
    if (done.status !== 200) throw new RefusedError(done)
    return jsonBody(done)
  }

  get(path: string, query: Query = {}): Promise<JsonObject> {
    return this.expect('GET', path, undefined, { query })
  }

  post(path: string, body: JsonObject = {}): Promise<JsonObject> {
    return this.expect('POST', path, body)
  }

  put(path: string, body: JsonObject = {}): Promise<JsonObject> {
    return this.expect('PUT', path, body)
  }

  delete(path: string, body?: JsonObject): Promise<JsonObject> {
    return this.expect('DELETE', path, body)
  }

  /** A transaction ID that this caller has not used. */
  nextTransactionId(): string {
    this.#transactions += 1
    return `t${this.#transactions}`
  }
}

/** Someone with an account, on one of their devices. */
export class Person extends Caller {
  readonly userId: string
  readonly deviceId: string
  declare readonly accessToken: string
  readonly refreshToken: string | null
  /** What `register` set. */
  readonly password: string

  constructor(baseUrl: string, session: JsonObject, password: string) {
    super(baseUrl, text(session, 'access_token'))
    this.userId = text(session, 'user_id')
    this.deviceId = text(session, 'device_id')
    this.refreshToken = typeof session['refresh_token'] === 'string' ? session['refresh_token'] : null
    this.password = password
  }

  /** Another device of the same person. */
  async login(more: JsonObject = {}): Promise<Person> {
    const session = await new Caller(this.baseUrl).post('/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: this.userId },
      password: this.password,
      ...more,
    })
    return new Person(this.baseUrl, session, this.password)
  }

  /** The new room's ID. */
  async createRoom(body: JsonObject = {}): Promise<string> {
    return text(await this.post('/createRoom', body), 'room_id')
  }

  async join(room: string, via: readonly string[] = []): Promise<string> {
    const done = await this.expect('POST', path`/join/${room}`, {}, { query: { via } })
    return text(done, 'room_id')
  }

  async leave(room: string, reason?: string): Promise<void> {
    await this.post(path`/rooms/${room}/leave`, reason === undefined ? {} : { reason })
  }

  async invite(room: string, userId: string): Promise<void> {
    await this.post(path`/rooms/${room}/invite`, { user_id: userId })
  }

  async kick(room: string, userId: string, reason?: string): Promise<void> {
    await this.post(path`/rooms/${room}/kick`, { user_id: userId, ...(reason === undefined ? {} : { reason }) })
  }

  async ban(room: string, userId: string, reason?: string): Promise<void> {
    await this.post(path`/rooms/${room}/ban`, { user_id: userId, ...(reason === undefined ? {} : { reason }) })
  }

  async unban(room: string, userId: string): Promise<void> {
    await this.post(path`/rooms/${room}/unban`, { user_id: userId })
  }

  /** Sends a text message, or any content under a type; returns the event's ID. */
  async send(
    room: string,
    content: string | JsonObject,
    type = 'm.room.message',
    transactionId = this.nextTransactionId(),
  ): Promise<string> {
    const body = typeof content === 'string' ? { msgtype: 'm.text', body: content } : content
    return text(await this.put(path`/rooms/${room}/send/${type}/${transactionId}`, body), 'event_id')
  }

  /** Sets state; returns the event's ID. */
  async setState(room: string, type: string, content: JsonObject, stateKey = ''): Promise<string> {
    return text(await this.put(path`/rooms/${room}/state/${type}/${stateKey}`, content), 'event_id')
  }

  /** The content of a state event. */
  state(room: string, type: string, stateKey = ''): Promise<JsonObject> {
    return this.get(path`/rooms/${room}/state/${type}/${stateKey}`)
  }

  event(room: string, eventId: string): Promise<JsonObject> {
    return this.get(path`/rooms/${room}/event/${eventId}`)
  }

  async redact(room: string, eventId: string, reason?: string): Promise<string> {
    const body = reason === undefined ? {} : { reason }
    return text(await this.put(path`/rooms/${room}/redact/${eventId}/${this.nextTransactionId()}`, body), 'event_id')
  }

  messages(room: string, query: Query = { dir: 'b', limit: 100 }): Promise<JsonObject> {
    return this.get(path`/rooms/${room}/messages`, query)
  }

  /** Sends a receipt. `threadId` absent: unthreaded. */
  async acknowledge(room: string, eventId: string, type = 'm.read', threadId?: string): Promise<void> {
    const body = threadId === undefined ? {} : { thread_id: threadId }
    await this.post(path`/rooms/${room}/receipt/${type}/${eventId}`, body)
  }

  /** One `/sync`; without `timeout` it answers at once. */
  sync(query: Query = {}): Promise<JsonObject> {
    return this.get('/sync', { timeout: 0, ...query })
  }

  /** `next_batch` of a sync that starts now. */
  async now(): Promise<string> {
    return text(await this.sync({ filter: '{"room":{"rooms":[]}}' }), 'next_batch')
  }
}

/** `path\`/rooms/${roomId}/join\``: encodes what is put in. */
export function path(literals: TemplateStringsArray, ...values: readonly string[]): string {
  return literals.reduce((built, literal, index) => `${built}${encodeURIComponent(values[index - 1] ?? '')}${literal}`)
}

function withQuery(target: string, query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const each of Array.isArray(value) ? (value as readonly string[]) : [value])
      parameters.append(name, String(each))
  }
  const encoded = parameters.toString()
  return encoded === '' ? target : `${target}${target.includes('?') ? '&' : '?'}${encoded}`
}

/** The text under a key of an answer, which must have it. */
export function text(body: JsonObject, key: string): string {
  const value = body[key]
  if (typeof value !== 'string') throw new Error(`the answer has no "${key}"`)
  return value
}

/** What lies below the keys, or `undefined` where the way ends: `at(sync, 'rooms', 'join', roomId, 'timeline', 'events')`. */
export function at(value: JsonValue | undefined, ...keys: readonly (string | number)[]): JsonValue | undefined {
  let here: JsonValue | undefined = value
  for (const key of keys) {
    if (Array.isArray(here) && typeof key === 'number') here = here[key]
    else if (isJsonObject(here) && typeof key === 'string') here = here[key]
    else return undefined
  }
  return here
}

/** The objects of a list below the keys; none where there is no such list. */
export function objectsAt(value: JsonValue | undefined, ...keys: readonly (string | number)[]): JsonObject[] {
  const list = at(value, ...keys)
  return Array.isArray(list) ? list.filter(isJsonObject) : []
}

let people = 0

/** Nobody: requests without a token. */
export function nobody(server: Pick<TestServer, 'url'>): Caller {
  return new Caller(server.url)
}

/** Registers an account and its first device, through the front door. */
export async function register(server: Pick<TestServer, 'url'>, name?: string): Promise<Person> {
  people += 1
  const username = name ?? `person${people}`
  const password = `correct horse ${username} battery`
  const caller = new Caller(server.url)
  const session = await caller.post('/register', { username, password, auth: { type: 'm.login.dummy' } })
  return new Person(server.url, session, password)
}
