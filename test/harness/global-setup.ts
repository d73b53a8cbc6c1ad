import { mkdtemp } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, startCluster } from './cluster.ts'

/** The variable that tells the workers where to ask for the cluster. */
export const SERVICE_VARIABLE = 'TEST_POSTGRES_SERVICE'

/** What `global-teardown.ts` needs: both run in jest's own process. */
export const service: { server: Server | null; folder: string | null; cluster: Promise<Cluster> | null } = {
  server: null,
  folder: null,
  cluster: null,
}

/** Before the tests: opens a socket on which workers ask for Postgres. It is started when the first one asks, so a run that
 *  needs no database pays nothing, and once, however many workers ask. */
export default async function globalSetup(): Promise<void> {
  service.folder = await mkdtemp(join(tmpdir(), 'lethe-tests-'))
  const path = join(service.folder, 'postgres')
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    service.cluster ??= startCluster()
    service.cluster.then(
      cluster => socket.end(JSON.stringify({ address: cluster.address })),
      (error: unknown) => socket.end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) })),
    )
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  server.unref()
  service.server = server
  process.env[SERVICE_VARIABLE] = path
}
