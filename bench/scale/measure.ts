import { type RoomId } from '../../src/protocol/identifiers.ts'
import { syncToken, timelineToken } from '../../src/sync/token.ts'
import { hundredBytes, joinRoom, olderMessages, sendMessage, sync, type Person } from '../calls.ts'
import { type Call } from '../connection.ts'
import { ScenarioError } from '../errors.ts'
import { ascending, percentile } from '../statistics.ts'
import { type House } from './house.ts'

/** What one kind of request costs, in ms. The tenth percentile is what it costs when nothing else disturbs it. */
export type Cost = { readonly name: string; readonly p10Ms: number; readonly p50Ms: number }

/** How often each kind is measured. */
export type Repetitions = Readonly<Record<'send' | 'page' | 'news' | 'absence' | 'firstSync' | 'join', number>>

/** Enough for figures to quote. */
export const fullRepetitions: Repetitions = { send: 400, page: 200, news: 200, absence: 40, firstSync: 20, join: 150 }
/** How many entries of the log someone has missed who comes back: more than is kept in memory. */
const absenceEntries = 60_000
/** What is not counted, while caches and the compiler warm up. */
const warmUp = 5

/** The cost of each of the calls, one after another. */
async function costOf(house: House, name: string, count: number, next: (index: number) => Call): Promise<Cost> {
  const durationsMs: number[] = []
  for (let index = -warmUp; index < count; index++) {
    const call = next(index + warmUp)
    const startedMs = performance.now()
    const answer = await house.call({ ...call, keepBody: false })
    if (index >= 0) durationsMs.push(answer.endedMs - startedMs)
  }
  const sorted = ascending(durationsMs)
  const p10Ms = percentile(sorted, 10)
  const p50Ms = percentile(sorted, 50)
  if (p10Ms === null || p50Ms === null) throw new ScenarioError('nothing was measured')
  return { name, p10Ms, p50Ms }
}

/** Sends, reads history and syncs, at the size that the database has. `reader` is in the first `joined` rooms. */
export async function measureCosts(
  house: House,
  writer: Person,
  reader: Person,
  joined: number,
  repetitions: Repetitions = fullRepetitions,
): Promise<Cost[]> {
  const { log } = house.server.ctx
  const room = (index: number): RoomId => {
    const roomId = house.rooms[index % house.rooms.length]
    if (roomId === undefined) throw new ScenarioError('there are no rooms')
    return roomId
  }
  const send = (index: number): Call => sendMessage(writer, room(index * 7), house.uniqueName(), hundredBytes())
  const since = (position: number): string =>
    syncToken({ position: Math.max(0, position), typing: 0, epoch: log.epoch })
  const costs = [await costOf(house, 'send', repetitions.send, send)]
  costs.push(
    // From anywhere in the history, so that most pages are in nobody's memory.
    await costOf(house, 'page of 100', repetitions.page, index => {
      const place = Math.floor(log.head * ((index * 0.618) % 1))
      return olderMessages(writer, room(index * 13), timelineToken(Math.max(1, place)))
    }),
  )
  const newsFrom = log.head
  for (let index = 0; index < joined; index++) await house.call(sendMessage(writer, room(index), house.uniqueName(), hundredBytes())) // prettier-ignore
  costs.push(
    await costOf(house, 'incremental sync', repetitions.news, () =>
      sync(reader, { since: since(newsFrom), timeoutMs: 0 }),
    ),
    await costOf(house, 'sync after an absence', repetitions.absence, () =>
      sync(reader, { since: since(log.head - absenceEntries), timeoutMs: 0 }),
    ),
    await costOf(house, 'first sync', repetitions.firstSync, () => sync(reader, { timeoutMs: 0 })),
  )
  return costs
}

/** What it costs the next person to join a room: each of `people` joins each of the rooms once. */
export async function measureJoins(
  house: House,
  name: string,
  owner: Person,
  people: readonly Person[],
  members: number,
  repetitions: Repetitions = fullRepetitions,
): Promise<Cost> {
  const rounds = Math.ceil((repetitions.join + warmUp) / people.length)
  const rooms: RoomId[] = []
  for (let index = 0; index < rounds; index++) rooms.push(await house.makeRoom(owner))
  for (const roomId of rooms) await house.crowd(roomId, members)
  return costOf(house, name, repetitions.join, index => {
    const person = people[index % people.length]
    const roomId = rooms[Math.floor(index / people.length)]
    if (person === undefined || roomId === undefined) throw new ScenarioError('nobody is left to join')
    return joinRoom(person, roomId)
  })
}

/** One table or index and what it takes. */
export type Relation = { readonly name: string; readonly table: string; readonly sizeBytes: number }

/** Every table (with its out-of-line storage) and every index of the server's, the largest first; vacuumed before. */
export async function measureRelations(house: House): Promise<Relation[]> {
  const client = await house.server.ctx.db.pool.connect()
  try {
    await client.query('SET statement_timeout = 0')
    await client.query('VACUUM (ANALYZE)')
    const { rows } = await client.query<Relation>(`
      SELECT c.relname AS name, coalesce(t.relname, c.relname) AS "table",
        (CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END)::bigint AS "sizeBytes"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i') ORDER BY 3 DESC`)
    return rows
  } finally {
    // Not for others to use: it has no time limit any more.
    client.release(true)
  }
}
