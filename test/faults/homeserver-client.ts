import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'

/** An answer, or why there was none. */
export type Answered =
  { readonly status: number; readonly json: JsonObject } | { readonly status: null; readonly reason: string }

/** Said where two replicas write to one room and one comes too late again and again. */
const tooBusy = 'The room is too busy; try again'

/** Speaks to a server that may be away, and notes how it was answered. */
export class FaultClient {
  readonly #baseUrl: () => string
  token: string | null = null
  /** How often each status came; `null` where no answer did. */
  readonly statuses = new Map<number | null, number>()
  /** Answers that no client should ever get, and requests that went without one. */
  readonly wrong: string[] = []
  /** What was to be tried again, for another reason than that all wrote to one room. */
  readonly putOff: string[] = []

  constructor(baseUrl: () => string) {
    this.#baseUrl = baseUrl
  }

  async ask(method: string, path: string, body?: JsonObject): Promise<Answered> {
    const answered = await this.#ask(method, path, body)
    const { status } = answered
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    if (status === 503 && answered.json['error'] !== tooBusy) this.putOff.push(`${method} ${path.replace(/\?.*/, '')}`)
    const isRight = status === 200 || (status === 503 && answered.json['errcode'] === 'M_UNKNOWN')
    if (!isRight) this.wrong.push(`${method} ${path.replace(/\?.*/, '')}: ${JSON.stringify(answered)}`)
    return answered
  }

  /** Asks until the answer is 200. */
  async insist(method: string, path: string, body?: JsonObject): Promise<JsonObject> {
    for (;;) {
      const answered = await this.ask(method, path, body)
      if (answered.status === 200) return answered.json
      if (answered.status !== 503) throw new Error(`${method} ${path} was answered ${JSON.stringify(answered)}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  async register(name: string): Promise<void> {
    const session = await this.insist('POST', '/register', {
      username: name,
      password: 'long enough it is',
      auth: { type: 'm.login.dummy' },
    })
    this.token = String(session['access_token'])
  }

  send(roomId: string, body: string): Promise<JsonObject> {
    return this.insist('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, { body })
  }

  /** The room's messages between two tokens, in order, by paging. */
  async messages(roomId: string, from?: string, to?: string): Promise<Message[]> {
    const found: Message[] = []
    for (let at = from; ;) {
      const query = new URLSearchParams({ dir: 'f', limit: '100', ...(at ? { from: at } : {}), ...(to ? { to } : {}) })
      const page = await this.insist('GET', `/rooms/${encodeURIComponent(roomId)}/messages?${query.toString()}`)
      found.push(...messagesOf(page['chunk']))
      if (typeof page['end'] !== 'string') return found
      at = page['end']
    }
  }

  async #ask(method: string, path: string, body?: JsonObject): Promise<Answered> {
    try {
      const response = await fetch(`${this.#baseUrl()}/_matrix/client/v3${path}`, {
        method,
        headers: this.token === null ? {} : { authorization: `Bearer ${this.token}` },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      const json: unknown = await response.json()
      // Parsed from JSON.
      return isJsonObject(json as JsonObject) ? { status: response.status, json: json as JsonObject } : { status: null, reason: 'no object' } // prettier-ignore
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? String(error.cause) : ''
      return { status: null, reason: `${String(error)} ${cause}` }
    }
  }
}

export interface Message {
  readonly eventId: string
  readonly body: string
}

function messagesOf(events: unknown): Message[] {
  if (!Array.isArray(events)) return []
  return (events as JsonObject[]).flatMap(event =>
    event['type'] === 'm.room.message' && isJsonObject(event['content'])
      ? [{ eventId: String(event['event_id']), body: String(event['content']['body']) }]
      : [],
  )
}

/** Follows a room by /sync until it is over and nothing more comes, filling the gaps of limited timelines: what a client has seen, in order. */
export async function follow(client: FaultClient, roomId: string, isOver: () => boolean): Promise<Message[]> {
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 50 } } }))
  const seen: Message[] = []
  let since = String((await client.insist('GET', `/sync?filter=${filter}`))['next_batch'])
  for (let last = false; ;) {
    if (isOver()) last = true
    // What was written last may still be on its way from one replica to the other.
    const timeout = last ? 1_000 : 2_000
    const told = await client.insist('GET', `/sync?since=${since}&timeout=${timeout}&filter=${filter}`)
    const rooms = isJsonObject(told['rooms']) && isJsonObject(told['rooms']['join']) ? told['rooms']['join'] : {}
    const room = rooms[roomId]
    const timeline = isJsonObject(room) && isJsonObject(room['timeline']) ? room['timeline'] : null
    if (timeline?.['limited'] === true) {
      seen.push(...(await client.messages(roomId, since, String(timeline['prev_batch']))))
    }
    const news = messagesOf(timeline?.['events'])
    seen.push(...news)
    since = String(told['next_batch'])
    if (last && news.length === 0) return seen
  }
}
