import pg from 'pg'
import { hundredBytes, sendMessage } from '../calls.ts'
import { ScenarioError } from '../errors.ts'
import { inParallel } from '../load.ts'
import { emptyResult, type Scenario, skippedResult } from '../scenario.ts'
import { makeRooms } from './rooms.ts'

const rooms = 16

/** Ordinary tables and materialised views with their indexes and out-of-line storage; partitions count as tables. */
const sizeQuery = `
  select coalesce(sum(pg_total_relation_size(c.oid)), 0)::text as size_bytes
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'`

/** The growth of the database by messages of 100 bytes, indexes and dead rows included. */
export const databaseScenario: Scenario = {
  name: 'database-bytes',
  title: 'database bytes per 100-byte message',
  run: async bench => {
    const { databaseUrl, plan } = bench.options
    if (databaseUrl === null) return [skippedResult('database-bytes', databaseScenario.title, 'needs --database-url')]
    const [writer] = await bench.people('writers', 1)
    if (writer === undefined) return []
    const roomIds = await makeRooms(bench, writer, rooms, 'public_chat')
    const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
    await client.connect()
    try {
      const before = await sizeBytes(client)
      const connections = roomIds.map(roomId => ({ roomId, connection: bench.connect() }))
      const turns = Array.from({ length: plan.storedMessages })
      await inParallel(turns, rooms, async (_, index) => {
        const target = connections[index % rooms]
        if (target === undefined) throw new RangeError('no room')
        const call = sendMessage(writer, target.roomId, bench.uniqueName(), hundredBytes())
        const answer = await target.connection.request(call)
        // Rate limits are for setup's patience; everything else ends the scenario there.
        if (answer.status !== 200) await bench.settle(call)
      })
      const bytesPerMessage = ((await sizeBytes(client)) - before) / plan.storedMessages
      const notes = [`grown by ${plan.storedMessages} messages; the budget speaks of 1,000,000`]
      const operations = plan.storedMessages
      return [
        { ...emptyResult('database-bytes', databaseScenario.title), operations, figures: { bytesPerMessage }, notes },
      ]
    } finally {
      await client.end()
    }
  },
}

async function sizeBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ size_bytes: string }>(sizeQuery)
  const [row] = rows
  if (row === undefined) throw new ScenarioError('the database does not tell its size')
  return Number(row.size_bytes)
}
