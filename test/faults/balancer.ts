import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'

/** A tiny load balancer, with the rules of the great ones: requests go to the servers in turn, each on a connection of its own;
 *  a server that does not accept one is passed over, and so is one that breaks the connection before it answers, if the
 *  request may be repeated. */
export class Balancer {
  readonly url: string
  /** Base URLs of the servers. */
  targets: readonly string[] = []
  readonly #server: Server
  #turn = 0

  private constructor(server: Server) {
    this.#server = server
    // A TCP server that listens has an address of that kind.
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (incoming: IncomingMessage, outgoing) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        const body = Buffer.concat(chunks)
        this.#turn += 1
        const start = this.#turn % this.targets.length
        const order = [...this.targets.slice(start), ...this.targets.slice(0, start)]
        const attempt = (left: readonly string[]): void => {
          const [target, ...others] = left
          if (target === undefined) return void outgoing.writeHead(502).end('{}')
          const { host: _host, connection: _connection, ...headers } = incoming.headers
          const onward = httpRequest(`${target}${incoming.url ?? ''}`, { method: incoming.method ?? 'GET', agent: false, headers }) // prettier-ignore
          onward.on('response', answer => {
            outgoing.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' })
            answer.pipe(outgoing)
          })
          onward.on('error', (error: Error & { code?: string }) => {
            const mayRepeat =
              error.code === 'ECONNREFUSED' || (error.code === 'ECONNRESET' && incoming.method !== 'POST')
            if (mayRepeat && !outgoing.headersSent) attempt(others)
            else if (!outgoing.headersSent) outgoing.writeHead(502).end(JSON.stringify({ reason: error.message }))
          })
          onward.end(body)
        }
        attempt(order)
      })
    })
  }

  static async open(): Promise<Balancer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Balancer(server)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
