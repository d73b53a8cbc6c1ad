/**
 * A process of its own that runs the embedded database on the folder given, for tests that need a second process, another
 * user or a violent end. Prints one line of JSON: `{ "connection": … }` or `{ "error": "…" }`; stops when its input ends.
 */
import { silentLogger } from '../../src/log.ts'
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'

try {
  const postgres = await startEmbeddedPostgres({ dataDir: process.argv[2] ?? '', log: silentLogger, fsync: false })
  console.log(JSON.stringify({ connection: postgres.connection }))
  for await (const _ of process.stdin);
  await postgres.stop()
} catch (error) {
  console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }))
}
