import { type IncomingMessage, type ServerResponse } from 'node:http'
import { type Clock } from '../clock.ts'
import { badJson, MatrixError, notJson, tooLarge } from '../errors.ts'
import { type JsonValue } from '../protocol/json.ts'
import { type JsonProblem, type ParseJsonOptions, parseJson } from '../protocol/json-reader.ts'

/** How long a client may take to send a JSON body. */
export const bodyTimeoutMs = 60_000

/** Requests that wait to be told to go on before they send their body (`Expect: 100-continue`). */
const waiting = new WeakSet<IncomingMessage>()

/** Notes that the client waits for 100 (Continue). */
export function expectContinue(request: IncomingMessage): void {
  waiting.add(request)
}

/** Tells the client, if it waits for that, to send its body. */
export function allowBody(request: IncomingMessage, response: ServerResponse): void {
  if (waiting.delete(request)) response.writeContinue()
}

/** The client went away before it had sent the whole body: nobody is there to be answered. */
export class RequestAborted extends Error {}

/** The `Content-Length` that was announced, `null` when there is none. Node has refused what is not a number. */
export function announcedLength(request: IncomingMessage): number | null {
  const header = request.headers['content-length']
  return header === undefined ? null : Number(header)
}

/**
 * Reads a whole body. Throws 413 M_TOO_LARGE as soon as it is known to be longer than `limitBytes`, without reading on;
 * 408 when it takes longer than `bodyTimeoutMs`; 415 for a compressed one; `RequestAborted` when the client goes away.
 */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  clock: Clock,
  limitBytes: number,
): Promise<Buffer> {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return Promise.reject(new MatrixError('M_UNKNOWN', 'Compressed bodies are not accepted', { status: 415 }))
  }
  const length = announcedLength(request)
  if (length !== null && length > limitBytes) return Promise.reject(tooLarge())
  if (length === 0 || (length === null && request.headers['transfer-encoding'] === undefined)) {
    return Promise.resolve(Buffer.alloc(0))
  }
  allowBody(request, response)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = () => {
      timer.clear()
      request.removeListener('data', take)
      request.removeListener('end', finish)
      request.removeListener('close', leave)
    }
    const refuse = (error: Error) => {
      settle()
      request.pause()
      reject(error)
    }
    const take = (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) refuse(tooLarge())
      else chunks.push(chunk)
    }
    const finish = () => {
      settle()
      const [first] = chunks
      resolve(chunks.length === 1 && first ? first : Buffer.concat(chunks, size))
    }
    const leave = () => refuse(new RequestAborted('the client went away'))
    const timer = clock.setTimeout(
      () => refuse(new MatrixError('M_UNKNOWN', 'The request body took too long', { status: 408 })),
      bodyTimeoutMs,
    )
    request.on('data', take)
    request.on('end', finish)
    request.on('close', leave)
    // The socket's error is followed by `close`; without a listener it would end the process.
    request.on('error', ignore)
  })
}

function ignore(): void {}

/** How often an upload is looked at, and how much must have come meanwhile: 8 kB a second. */
export const uploadCheckMs = 30_000
export const uploadMinimumBytes = 240_000

/** Cuts an upload that hardly moves: it would hold its connection, and what the handler holds for it, for ten minutes. */
export function watchUpload(request: IncomingMessage, clock: Clock): void {
  let seen = request.socket.bytesRead
  const check = () => {
    const { bytesRead } = request.socket
    if (bytesRead - seen < uploadMinimumBytes) {
      request.destroy(new RequestAborted('the upload is too slow'))
      return
    }
    seen = bytesRead
    timer = clock.setTimeout(check, uploadCheckMs)
  }
  let timer = clock.setTimeout(check, uploadCheckMs)
  const stop = () => timer.clear()
  request.once('end', stop)
  request.once('close', stop)
  request.on('error', ignore)
}

/** Parses a body that is not empty. Throws M_NOT_JSON or M_BAD_JSON; what the problem was is said, what was sent is not. */
export function parseBody(bytes: Uint8Array, options: ParseJsonOptions): JsonValue {
  const parsed = parseJson(bytes, options)
  if (parsed.ok) return parsed.value
  throw problemError(parsed.problem)
}

function problemError(problem: JsonProblem): MatrixError {
  switch (problem) {
    case 'not_json':
      return notJson()
    case 'bad_utf8':
      return notJson('The request body is not valid UTF-8')
    case 'too_deep':
      return badJson('The request body is nested too deeply')
    case 'bad_string':
      return badJson('The request body holds a string that is not valid Unicode')
    case 'bad_number':
      return badJson('The request body holds a number that is not allowed')
  }
}
