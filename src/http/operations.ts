import { type IncomingMessage, type ServerResponse } from 'node:http'
import { type Registry } from 'prom-client'

/**
 * The listener for operators: `/metrics`, `/health/live`, `/health/ready`. It stands on a port of its own and never on the
 * one that is open to the world. `isReady` must not throw.
 */
export function createOperationsHandler(
  registry: Registry,
  isReady: () => Promise<boolean>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    switch (path) {
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await registry.metrics() }
      case '/health/live':
        return health(200, 'ok')
      case '/health/ready':
        return (await isReady()) ? health(200, 'ok') : health(503, 'unavailable')
      default:
        return health(404, 'unknown path')
    }
  }
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    answer(path).then(
      ({ status, type, body }) => {
        response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body)
      },
      () => response.destroy(),
    )
  }
}

function health(status: number, text: string) {
  return { status, type: 'application/json', body: JSON.stringify({ status: text }) }
}
