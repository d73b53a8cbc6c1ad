import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { systemClock } from '../../clock.ts'
import { codeOf } from '../../errors.ts'
import { isJsonObject, type JsonObject } from '../../protocol/json.ts'

/** An answer, or why there was none. */
export type Asked =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: IncomingMessage['headersDistinct']; readonly json: JsonObject | null; /** Ours, on the way there. */ readonly localAddress: string | null } // prettier-ignore
  | { readonly kind: 'failure'; readonly reason: string }

/** Longer than any answer to a doctor. */
const answerLimitBytes = 1024 * 1024
const pieceBytes = 64 * 1024

/** Who does not say within that time that it wants the body gets it all the same. */
const continueTimeoutMs = 3_000

/**
 * Makes one request, on a connection of its own, with the path exactly as it is given. `bodyBytes`: sends so many bytes, and
 * says so beforehand. What answers before it has taken all of them is listened to.
 */
export function ask(
  base: string,
  path: string,
  options: { readonly method?: 'GET' | 'POST'; readonly headers?: Readonly<Record<string, string>>; readonly bodyBytes?: number; readonly timeoutMs: number }, // prettier-ignore
): Promise<Asked> {
  const url = new URL(base)
  const { bodyBytes } = options
  const headers = {
    ...options.headers,
    ...(bodyBytes === undefined ? {} : { 'Content-Length': String(bodyBytes), 'Content-Type': 'application/octet-stream', Expect: '100-continue' }), // prettier-ignore
  }
  const make = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise(resolve => {
    const fail = (error: unknown) =>
      resolve({ kind: 'failure', reason: codeOf(error) ?? (error instanceof Error ? error.message : 'unknown error') })
    const outgoing = make({
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      path: `${url.pathname.replace(/\/$/, '')}${path}`,
      method: options.method ?? 'GET',
      headers,
      agent: false,
      timeout: options.timeoutMs,
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', fail)
    outgoing.on('response', response => {
      // What goes wrong with the rest of the body does not matter any more.
      outgoing.off('error', fail).on('error', () => undefined)
      // Read at once: the socket forgets it when it is closed.
      const localAddress = response.socket.localAddress ?? null
      readAnswer(response, localAddress).then(resolve, fail)
    })
    if (bodyBytes === undefined) outgoing.end()
    else whenWanted(outgoing, () => sendZeros(outgoing, bodyBytes))
  })
}

async function readAnswer(response: IncomingMessage, localAddress: string | null): Promise<Asked> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const piece = chunk as Buffer // A byte stream gives bytes.
    size += piece.length
    if (size > answerLimitBytes) break
    chunks.push(piece)
  }
  return { kind: 'answer', status: response.statusCode ?? 0, headers: response.headersDistinct, json: objectIn(Buffer.concat(chunks).toString()), localAddress } // prettier-ignore
}

function objectIn(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}

/** Who does not want a body says so before it comes: an answer that is sent into the midst of it may get lost. */
function whenWanted(outgoing: ReturnType<typeof requestHttp>, send: () => void): void {
  let isSettled = false
  const settle = (isWanted: boolean) => {
    if (isSettled) return
    isSettled = true
    timer.clear()
    if (isWanted) send()
    else outgoing.end()
  }
  const timer = systemClock.setTimeout(() => settle(true), continueTimeoutMs)
  outgoing.on('continue', () => settle(true))
  outgoing.on('response', () => settle(false))
  outgoing.on('error', () => settle(false))
  outgoing.flushHeaders()
}

function sendZeros(outgoing: ReturnType<typeof requestHttp>, bytes: number): void {
  const piece = Buffer.alloc(pieceBytes)
  let left = bytes
  const send = () => {
    while (left > 0) {
      const part = left < pieceBytes ? piece.subarray(0, left) : piece
      left -= part.length
      if (!outgoing.write(part)) {
        outgoing.once('drain', send)
        return
      }
    }
    outgoing.end()
  }
  send()
}
