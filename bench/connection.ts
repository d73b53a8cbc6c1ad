import { Client, type Dispatcher } from 'undici'

/** A finished answer. `text` is empty where the caller did not ask for the body of a success. */
export type Answer = {
  readonly status: number
  readonly text: string
  /** When the last byte arrived, on `performance.now()`'s clock. */
  readonly endedMs: number
}

/** One request. `body` is a JSON text that is already serialised. */
export type Call = {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly token?: string
  readonly body?: string
  /** Keep the body of a success. Errors always keep theirs (cut at 64 KiB), since they say what went wrong. */
  readonly keepBody?: boolean
  /** How long the server may take to begin its answer; longer for long polls. */
  readonly timeoutMs?: number
}

const defaultTimeoutMs = 30_000
const bodyLimitBytes = 64 * 1_024 * 1_024
const errorBodyLimitBytes = 64 * 1_024

/**
 * One keep-alive connection to the server, as one client has it: requests queue behind each other. It goes through
 * undici's dispatcher with a handler of its own, since the generator shares the processors with the server it measures:
 * a body that nobody reads is dropped as it arrives, and nothing is parsed.
 */
export class Connection {
  readonly #client: Client

  /** `origin` is scheme, host and port. Nothing is opened before the first request. */
  constructor(origin: string) {
    this.#client = new Client(origin, { pipelining: 1, connect: { timeout: 10_000 } })
  }

  /** Sends one request. Rejects if no answer came (refused, reset, timed out, closed); an error status is an answer. */
  request(call: Call): Promise<Answer> {
    const headers: string[] = ['accept-encoding', 'identity']
    if (call.token !== undefined) headers.push('authorization', `Bearer ${call.token}`)
    if (call.body !== undefined) headers.push('content-type', 'application/json')
    const timeoutMs = call.timeoutMs ?? defaultTimeoutMs
    return new Promise((resolve, reject) => {
      this.#client.dispatch(
        {
          method: call.method,
          path: call.path,
          headers,
          body: call.body ?? null,
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
        },
        new AnswerReader(call.keepBody ?? false, resolve, reject),
      )
    })
  }

  /** Drops the connection; requests under way reject. */
  async close(): Promise<void> {
    await this.#client.destroy()
  }
}

class AnswerReader implements Dispatcher.DispatchHandler {
  readonly #keepBody: boolean
  readonly #resolve: (answer: Answer) => void
  readonly #reject: (error: Error) => void
  #status = 0
  #chunks: Buffer[] = []
  #sizeBytes = 0

  constructor(keepBody: boolean, resolve: (answer: Answer) => void, reject: (error: Error) => void) {
    this.#keepBody = keepBody
    this.#resolve = resolve
    this.#reject = reject
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const isError = this.#status >= 300
    if (!isError && !this.#keepBody) return
    this.#sizeBytes += chunk.length
    if (isError && this.#sizeBytes > errorBodyLimitBytes) return
    if (this.#sizeBytes > bodyLimitBytes) {
      controller.abort(new Error('the answer is larger than 64 MiB'))
      return
    }
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const endedMs = performance.now()
    const only = this.#chunks.length === 1 ? this.#chunks[0] : undefined
    const text = this.#chunks.length === 0 ? '' : (only ?? Buffer.concat(this.#chunks)).toString('utf8')
    this.#resolve({ status: this.#status, text, endedMs })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#reject(error)
  }
}
