import { Agent, request as httpRequest } from 'node:http'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'

/** One request and its answer. */
export interface Exchange {
  readonly method: string
  /** Path and query as they were sent. */
  readonly target: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Buffer
  /** The answer's body where it is JSON, else `undefined`. */
  readonly json: JsonValue | undefined
}

export interface ExchangeRequest {
  readonly method: string
  /** Path and query; sent exactly as given. */
  readonly target: string
  readonly token?: string | undefined
  /** An object is sent as JSON, text and bytes as they are. */
  readonly body?: JsonObject | string | Uint8Array | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Breaks the request off. */
  readonly signal?: AbortSignal
}

/** Looks at an exchange; throws to fail the test that made it. */
export type ExchangeObserver = (exchange: Exchange) => void

const observers = new Map<string, ExchangeObserver[]>()

/** From now on `observer` sees every exchange with the server at `baseUrl`; returns how to stop. */
export function observeExchanges(baseUrl: string, observer: ExchangeObserver): () => void {
  observers.set(baseUrl, [...(observers.get(baseUrl) ?? []), observer])
  return () =>
    observers.set(
      baseUrl,
      (observers.get(baseUrl) ?? []).filter(each => each !== observer),
    )
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

/** Makes one request to a listening server and waits for the whole answer. */
export async function exchange(baseUrl: string, request: ExchangeRequest): Promise<Exchange> {
  const done = await perform(baseUrl, request)
  for (const observe of observers.get(baseUrl) ?? []) observe(done)
  return done
}

function perform(baseUrl: string, request: ExchangeRequest): Promise<Exchange> {
  const { hostname, port } = new URL(baseUrl)
  const { body } = request
  const bytes =
    body === undefined ? null : typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const isChunked = Object.keys(request.headers ?? {}).some(name => name.toLowerCase() === 'transfer-encoding')
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      agent,
      hostname,
      port,
      method: request.method,
      path: request.target,
      ...(request.signal ? { signal: request.signal } : {}),
      headers: {
        ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
        ...(bytes === null || isChunked ? {} : { 'content-length': Buffer.byteLength(bytes) }),
        ...request.headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', incoming => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const bytes = Buffer.concat(chunks)
        try {
          const json = jsonOf(incoming.headers['content-type'], bytes)
          const { method, target } = request
          resolve({ method, target, status: incoming.statusCode ?? 0, headers: incoming.headers, bytes, json })
        } catch (error) {
          // It says that it is JSON and is not.
          reject(error as Error)
        }
      })
    })
    outgoing.end(bytes ?? undefined)
  })
}

function jsonOf(contentType: string | undefined, bytes: Buffer): JsonValue | undefined {
  if (contentType?.startsWith('application/json') !== true || bytes.length === 0) return undefined
  // What `JSON.parse` returns is a JSON value.
  return JSON.parse(bytes.toString('utf8')) as JsonValue
}

/** The answer's body, which must be a JSON object. */
export function jsonBody(done: Exchange): JsonObject {
  if (isJsonObject(done.json)) return done.json
  throw new Error(`${done.method} ${done.target} answered ${done.status} with no JSON object`)
}
