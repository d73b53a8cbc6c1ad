import { type IncomingMessage, type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemClock } from '../clock.ts'
import { type MatrixError } from '../errors.ts'
import { type JsonObject } from '../protocol/json.ts'
import { announcedLength } from './body.ts'
import { corsHeaders } from './cors.ts'
import { Reply } from './endpoint.ts'

/** What is written for a request. */
export interface Answer {
  readonly status: number
  readonly body: string | Uint8Array | Readable | null
  /** The endpoint's own headers; they replace the general ones of the same name. */
  readonly headers: Readonly<Record<string, string>> | null
  /** Of a refusal. */
  readonly errcode: string | null
}

const jsonType = 'application/json'

/** The answer to what a handler returned. Throws Node's error for a header that cannot be sent: a fault of the handler. */
export function answerOf(result: JsonObject | Reply): Answer {
  if (!(result instanceof Reply)) return { status: 200, body: JSON.stringify(result), headers: null, errcode: null }
  const { status, body, headers } = result
  const own = Object.entries(headers)
  if (own.length === 0) return { status, body, headers: null, errcode: null }
  try {
    for (const [name, value] of own) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    }
  } catch (error) {
    if (body instanceof Readable) body.destroy()
    throw error
  }
  return { status, body, headers, errcode: null }
}

/** The answer that refuses. */
export function refusalOf(error: MatrixError): Answer {
  return { status: error.status, body: JSON.stringify(error), headers: error.headers, errcode: error.errcode }
}

const generalHeaders: readonly string[] = ['Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff']
const apiHeaders: readonly string[] = [...generalHeaders, ...corsHeaders]

/** `own` over `general`, as the flat list that `writeHead` takes. */
function mergeHeaders(general: readonly string[], own: Readonly<Record<string, string>>): string[] {
  const names = new Set(Object.keys(own).map(name => name.toLowerCase()))
  const merged: string[] = []
  for (let at = 0; at + 1 < general.length; at += 2) {
    const name = general[at] ?? ''
    if (!names.has(name.toLowerCase())) merged.push(name, general[at + 1] ?? '')
  }
  for (const [name, value] of Object.entries(own)) merged.push(name, value)
  return merged
}

/** A body that nobody has read may still be coming. Up to so much of it is read and thrown away, so that the client gets to
 *  see the answer; a client that sends more loses its connection. */
const discardLimitBytes = 16 * 1024 * 1024
const discardTimeoutMs = 5_000
/** An unread body that is announced to be no longer than this is left to Node, and the connection lives on. */
const smallBodyBytes = 64 * 1024

/**
 * Writes an answer: head and body in one go where the body is at hand. `isApi` adds the CORS headers. With `isLast` the
 * connection is closed after it. Never throws; resolves when the answer is written or its connection is gone.
 */
export async function writeAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  isApi: boolean,
  isLast: boolean,
): Promise<void> {
  const { body } = answer
  if (response.destroyed || response.headersSent) {
    if (body instanceof Readable) body.destroy()
    return
  }
  const general = isApi ? apiHeaders : generalHeaders
  const headers = answer.headers ? mergeHeaders(general, answer.headers) : [...general]
  if (body !== null && !has(answer.headers, 'content-type')) headers.push('Content-Type', jsonType)
  const unread = !request.complete && mayBeLong(request)
  if (isLast || unread) headers.push('Connection', 'close')
  if (body instanceof Readable) {
    response.writeHead(answer.status, headers)
    await writeStream(response, body)
    return
  }
  // 204 and 304 have no length: RFC 9110 8.6.
  if (answer.status !== 204 && answer.status !== 304) {
    headers.push('Content-Length', String(body === null ? 0 : Buffer.byteLength(body)))
  }
  response.writeHead(answer.status, headers)
  if (!unread) {
    response.end(body ?? undefined)
    return
  }
  if (body !== null) response.write(body)
  await discardRest(request)
  response.end()
}

function has(headers: Readonly<Record<string, string>> | null, lowerName: string): boolean {
  return headers !== null && Object.keys(headers).some(name => name.toLowerCase() === lowerName)
}

function mayBeLong(request: IncomingMessage): boolean {
  const length = announcedLength(request)
  return length === null ? request.headers['transfer-encoding'] !== undefined : length > smallBodyBytes
}

/** Streams the body. When its source fails, or the client goes away, the connection is cut: the head is out already, and a
 *  short body must not look like a whole one. */
async function writeStream(response: ServerResponse, body: Readable): Promise<void> {
  try {
    await pipeline(body, response)
  } catch {
    // `pipeline` has destroyed both ends, which is all that can be done.
    response.destroy()
  }
}

function discardRest(request: IncomingMessage): Promise<void> {
  if (request.destroyed) return Promise.resolve()
  return new Promise(resolve => {
    let left = discardLimitBytes
    const stop = () => {
      timer.clear()
      request.removeListener('data', discard)
      request.removeListener('close', stop)
      resolve()
    }
    const discard = (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) stop()
    }
    // Sockets live in real time, whatever the clock of the server says.
    const timer = systemClock.setTimeout(stop, discardTimeoutMs)
    request.on('data', discard)
    request.on('end', stop)
    request.on('close', stop)
    request.on('error', () => undefined)
    request.resume()
  })
}
