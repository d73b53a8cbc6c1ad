import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

/** What a reverse proxy may do wrong. */
export interface Faults {
  /** Decodes paths and puts them together anew. */
  readonly changesPaths?: boolean
  readonly bodyLimitBytes?: number
  readonly answerTimeoutMs?: number
  /** Sends its own idea of the type of well-known files, and drops what lets web pages read them. */
  readonly spoilsWellKnown?: boolean
  /** Passes X-Forwarded-For on as it comes. */
  readonly passesForwarded?: boolean
  readonly addsCors?: boolean
}

/** A reverse proxy in front of a server: a good one, but for the faults. */
export class Proxy {
  readonly url: string
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    // A listener on host and port has an address of that kind.
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(target: () => string, faults: Faults = {}): Promise<Proxy> {
    const server = createServer((incoming, answer) => pass(incoming, answer, target(), faults))
    server.on('checkContinue', (incoming: IncomingMessage, answer: ServerResponse) => {
      // As proxies do: who sends too much is told so beforehand.
      if (!isTooLarge(incoming, faults)) answer.writeContinue()
      pass(incoming, answer, target(), faults)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return new Proxy(server)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

function refuse(answer: ServerResponse, status: number): void {
  answer.writeHead(status, { 'Content-Type': 'text/html' }).end('<html>no</html>')
}

const isTooLarge = ({ headers }: IncomingMessage, { bodyLimitBytes = Infinity }: Faults) =>
  Number(headers['content-length'] ?? 0) > bodyLimitBytes

function pass(incoming: IncomingMessage, answer: ServerResponse, target: string, faults: Faults): void {
  const { answerTimeoutMs = 120_000 } = faults
  if (isTooLarge(incoming, faults)) return refuse(answer, 413)
  const path = incoming.url ?? '/'
  const from = incoming.headers['x-forwarded-for']
  const forwarded = [...(typeof from === 'string' ? [from] : []), '127.0.0.1'].join(', ')
  const headers = { ...incoming.headers, 'x-forwarded-for': faults.passesForwarded === true ? (from ?? '127.0.0.1') : forwarded } // prettier-ignore
  delete headers.expect
  const onward = request(
    target,
    {
      method: incoming.method,
      path: faults.changesPaths === true ? encodeURI(decodeURIComponent(path)) : path,
      headers,
      // Tells the proxy from those who come through it.
      localAddress: '127.0.0.2',
      timeout: answerTimeoutMs,
    },
    response => {
      const told = { ...response.headers }
      if (faults.spoilsWellKnown === true && path.startsWith('/.well-known/')) {
        told['content-type'] = 'application/octet-stream'
        delete told['access-control-allow-origin']
      }
      if (faults.addsCors === true) answer.appendHeader('Access-Control-Allow-Origin', '*')
      for (const [name, value] of Object.entries(told)) if (value !== undefined) answer.appendHeader(name, value)
      answer.writeHead(response.statusCode ?? 502)
      response.pipe(answer)
    },
  )
  onward.on('timeout', () => {
    refuse(answer, 504)
    onward.destroy()
  })
  onward.on('error', () => {
    if (!answer.headersSent) refuse(answer, 502)
  })
  incoming.pipe(onward)
}
