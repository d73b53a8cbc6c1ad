import { type Config } from '../config.ts'
import { type RunningServer } from '../server.ts'

/** What is shown when the server is up: where it listens. */
export async function welcome(server: RunningServer, config: Config): Promise<string> {
  const lines = [`Lethe is listening on ${server.url}, as ${config.serverName}.`]
  return `${lines.join('\n')}\n`
}
