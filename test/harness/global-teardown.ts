import { rm } from 'node:fs/promises'
import { service } from './global-setup.ts'

/** After the tests: stops Postgres, if anyone asked for it. */
export default async function globalTeardown(): Promise<void> {
  service.server?.close()
  if (service.cluster !== null) {
    const cluster = await service.cluster.catch(() => null) // Whoever asked for it was told why it did not start.
    await cluster?.stop()
  }
  if (service.folder !== null) await rm(service.folder, { recursive: true, force: true })
}
