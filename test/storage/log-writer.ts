/**
 * A process that writes to a log as fast as it can, for the tests that race or kill it. Speaks JSON lines: on standard
 * output `{ "ready": true }`, then one `{ "acked": [writer, number, position] }` for each durable write.
 *   node log-writer.ts <database URL> <name> <writers> <writes of each>
 */
import { testSealer } from '../harness/sealer.ts'
import { systemClock } from '../../src/clock.ts'
import { silentLogger } from '../../src/log.ts'
import { parseServerName, type ServerName, type UserId } from '../../src/protocol/identifiers.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { createNumbers } from '../../src/storage/numbers.ts'
import { openLog } from '../../src/storage/open-log.ts'

const [url = '', name = '', writers = '1', writes = '1'] = process.argv.slice(2)
const db = openDatabase({ url }, silentLogger)
// What it writes is read by another process, which has other keys. The server name is one.
const numbers = createNumbers(db, parseServerName('test.example') as ServerName, testSealer(false))
const log = await openLog({ db, numbers, clock: systemClock, logger: silentLogger, newEpoch: name, processId: name })
const tell = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)

tell({ ready: true })
await Promise.all(
  Array.from({ length: Number(writers) }, async (_, writer) => {
    // A user ID by construction.
    const userId = `@${name}-${writer}:test.example` as UserId
    for (let number = 0; number < Number(writes); number++) {
      const entry = { kind: 'account_data', userId, roomId: null, type: `n${number}`, content: '{}' } as const
      // Both ways into the log: the shared transaction and one of its own.
      let position = -1
      if (number % 10 !== 0) position = await log.post([entry])
      else await log.transact(async (_tx, announce) => announce(entry))
      tell({ acked: [writer, number, position] })
    }
  }),
)
await log.close()
await db.close()
