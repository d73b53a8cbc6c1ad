import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Deployment, type Deployments } from './deployments.ts'
import { federationPort } from './homeserver-process.ts'

const bodyLimitBytes = 4_096

/** A running control interface. */
export interface Control {
  /** The base URL that a suite is given; it contains a secret, so that no other local program finds it. */
  readonly url: string
  /** Stops listening; deployments are left as they are. */
  close(): Promise<void>
}

/** Serves deployments to a conformance suite of another language, on 127.0.0.1 and a port that the system chooses. Under
 *  the base URL:
 *
 *  | request | answer |
 *  |---|---|
 *  | `POST /deployments` with `{"servers": n}` | `{"id", "servers": {"hs1": {"client_url", "address", "federation_port", "log_file"}}}` once all are ready |
 *  | `DELETE /deployments/:id` | ends it, unless deployments are shared |
 *  | `DELETE /deployments` | ends all of them |
 *  | `POST /deployments/:id/restart` | restarts all of its servers |
 *  | `POST /deployments/:id/servers/:name/start`, `stop`, `pause`, `unpause` | does that to one of them |
 *
 *  Success is 200 with a JSON object; failure is 400, 404 or 500 with `{"error": text}`. */
export async function serveControl(deployments: Deployments): Promise<Control> {
  const secret = randomBytes(16).toString('hex')
  const server = createServer((request, response) => {
    answer(deployments, secret, request).then(
      body => respond(response, 200, body),
      (error: unknown) => {
        const status = error instanceof Refusal ? error.status : error instanceof RangeError ? 400 : 500
        respond(response, status, { error: error instanceof Error ? error.message : String(error) })
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return { url: `http://127.0.0.1:${portOf(server)}/${secret}`, close: () => close(server) }
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function answer(deployments: Deployments, secret: string, request: IncomingMessage): Promise<object> {
  const [given = '', collection, id, part, name, verb, ...rest] = (request.url ?? '/').slice(1).split('/')
  if (!isSame(given, secret) || collection !== 'deployments' || rest.length > 0) throw new Refusal(404, 'not found')
  if (id === undefined) {
    if (request.method === 'POST') return describe(await deployments.deploy(numberOfServers(await bodyOf(request))))
    if (request.method === 'DELETE') {
      await deployments.endAll()
      return {}
    }
    throw new Refusal(404, 'not found')
  }
  const deployment = deployments.find(id)
  if (deployment === null) throw new Refusal(404, 'no such deployment')
  if (request.method === 'DELETE' && part === undefined) {
    await deployments.release(deployment)
    return {}
  }
  if (request.method === 'POST' && part === 'restart' && name === undefined) {
    await deployments.restart(deployment)
    return describe(deployment)
  }
  if (request.method === 'POST' && part === 'servers' && name !== undefined) {
    const server = deployment.servers.get(name)
    if (server === undefined) throw new Refusal(404, 'no such server')
    if (verb === 'start' || verb === 'stop' || verb === 'pause' || verb === 'unpause') {
      await deployments.control(server, verb)
      return {}
    }
  }
  throw new Refusal(404, 'not found')
}

function describe(deployment: Deployment): object {
  const servers = [...deployment.servers].map(([name, server]) => [
    name,
    {
      client_url: server.clientUrl,
      address: server.settings.address,
      federation_port: federationPort,
      log_file: server.settings.logFile,
    },
  ])
  return { id: deployment.id, servers: Object.fromEntries(servers) }
}

function numberOfServers(body: unknown): number {
  if (typeof body === 'object' && body !== null && 'servers' in body && typeof body.servers === 'number') {
    return body.servers
  }
  throw new Refusal(400, 'the body is {"servers": number}')
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of request) {
    if (!(chunk instanceof Buffer)) throw new Refusal(400, 'the body is not bytes')
    sizeBytes += chunk.length
    if (sizeBytes > bodyLimitBytes) throw new Refusal(400, 'the body is too large')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown // JSON.parse is typed `any`; `unknown` is stricter
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
}

function isSame(given: string, secret: string): boolean {
  return given.length === secret.length && timingSafeEqual(Buffer.from(given), Buffer.from(secret))
}

function respond(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the control server listens on no port')
  return address.port
}

function close(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve, reject) => server.close(error => (error === undefined ? resolve() : reject(error))))
}
