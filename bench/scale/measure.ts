import { type RoomId } from '../../src/protocol/identifiers.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { syncToken, timelineToken } from '../../src/sync/token.ts'
import { hundredBytes, joinRoom, olderMessages, sendMessage, setState, sync, type Person } from '../calls.ts'
import { type Call } from '../connection.ts'
import { ScenarioError } from '../errors.ts'
import { ascending, percentile } from '../statistics.ts'
import { type House } from './house.ts'

/** What one kind of request costs, in ms. The tenth percentile is what it costs when nothing else disturbs it. */
export type Cost = { readonly name: string; readonly p10Ms: number; readonly p50Ms: number }

/** A house that costs are measured in. */
export interface Site {
  readonly house: House
  readonly writer: Person
  /** Is in some of the rooms. */
  readonly reader: Person
}

/** How often each kind is measured. */
export type Repetitions = Readonly<
  Record<'send' | 'page' | 'news' | 'absence' | 'firstSync' | 'join' | 'sweep', number>
>

/** Enough for figures to quote. */
export const fullRepetitions: Repetitions = {
  send: 600, page: 300, news: 300, absence: 60, firstSync: 60, join: 150, sweep: 20,
} // prettier-ignore
/** How many entries of the log someone has missed who comes back: more than is kept in memory. */
const absenceEntries = 60_000
/** A page as short as this is full in the newer half of the rooms of the smallest database that is compared. */
const pageEvents = 50
/** Rooms that are sent to: first while they are at rest, then while they are in memory. */
const restingRooms = 200
/** What is not counted, while caches and the compiler warm up. */
const warmUp = 5
/** After so many turns it is the other one's: a disturbance hits both. */
const turnsInARow = 5

/** Does something once, the `index`-th time; returns how long it took, in ms. */
export type Turn = (index: number) => Promise<number>

/** What each of several things costs that are done by turns, so that their ratio holds on a machine that others use too. */
export async function costsByTurns(name: string, count: number, turns: readonly Turn[]): Promise<Cost[]> {
  const durations = turns.map((): number[] => [])
  for (let first = -warmUp; first < count; first += turnsInARow) {
    for (const [which, turn] of turns.entries()) {
      for (let index = first; index < Math.min(first + turnsInARow, count); index++) {
        const tookMs = await turn(index + warmUp)
        if (index >= 0) durations[which]?.push(tookMs)
      }
    }
  }
  return durations.map(durationsMs => {
    const sorted = ascending(durationsMs)
    const p10Ms = percentile(sorted, 10)
    const p50Ms = percentile(sorted, 50)
    if (p10Ms === null || p50Ms === null) throw new ScenarioError('nothing was measured')
    return { name, p10Ms, p50Ms }
  })
}

function turnOf(house: House, next: (index: number) => Call): Turn {
  return async index => {
    const call = next(index)
    const startedMs = performance.now()
    const { endedMs } = await house.call({ ...call, keepBody: false })
    return endedMs - startedMs
  }
}

/** Sends, reads history and syncs in each of the houses; the costs of each house. Its reader is in the first `joined` rooms. */
export async function compareCosts(
  sites: readonly Site[],
  joined: number,
  repetitions: Repetitions = fullRepetitions,
): Promise<Cost[][]> {
  const room = ({ house }: Site, index: number): RoomId => {
    const roomId = house.rooms[index % house.rooms.length]
    if (roomId === undefined) throw new ScenarioError('there are no rooms')
    return roomId
  }
  const since = ({ house }: Site, position: number): string =>
    syncToken({ position: Math.max(0, position), typing: 0, epoch: house.server.ctx.log.epoch })
  const news = new Map<Site, number>()
  const kinds: { name: string; count: number; callOf: (site: Site, index: number) => Call }[] = [
    {
      // Where the server was just started, each room is read from the database first; every room is met once.
      name: 'send, room at rest',
      count: Math.min(repetitions.send, restingRooms),
      callOf: (site, index) => sendMessage(site.writer, room(site, index), site.house.uniqueName(), hundredBytes()),
    },
    {
      name: 'send',
      count: repetitions.send,
      callOf: (site, index) => sendMessage(site.writer, room(site, index % restingRooms), site.house.uniqueName(), hundredBytes()), // prettier-ignore
    },
    {
      // From anywhere in the newer half of the history, so that most pages are in nobody's memory.
      name: `page of ${pageEvents}`,
      count: repetitions.page,
      callOf: (site, index) => {
        const place = Math.floor(site.house.server.ctx.log.head * (1 - ((index * 0.618) % 1) / 2))
        return olderMessages(site.writer, room(site, index * 13), timelineToken(Math.max(1, place)), pageEvents)
      },
    },
    {
      name: 'incremental sync',
      count: repetitions.news,
      callOf: site => sync(site.reader, { since: since(site, news.get(site) ?? 0), timeoutMs: 0 }),
    },
    {
      name: 'sync after an absence',
      count: repetitions.absence,
      callOf: site =>
        sync(site.reader, { since: since(site, site.house.server.ctx.log.head - absenceEntries), timeoutMs: 0 }),
    },
    { name: 'first sync', count: repetitions.firstSync, callOf: site => sync(site.reader, { timeoutMs: 0 }) },
  ]
  const costs = sites.map((): Cost[] => [])
  for (const { name, count, callOf } of kinds) {
    if (name === 'incremental sync') {
      for (const site of sites) {
        news.set(site, site.house.server.ctx.log.head)
        for (let index = 0; index < joined; index++) await site.house.call(sendMessage(site.writer, room(site, index), site.house.uniqueName(), hundredBytes())) // prettier-ignore
      }
    }
    const turns = sites.map(site => turnOf(site.house, index => callOf(site, index)))
    for (const [index, cost] of (await costsByTurns(name, count, turns)).entries()) costs[index]?.push(cost)
  }
  return costs
}

/** What it costs the next person to join a room that has so many members; `people` join by turns. */
export async function compareJoins(
  { house, writer }: Site,
  people: readonly Person[],
  members: readonly number[],
  repetitions: Repetitions = fullRepetitions,
): Promise<Cost[]> {
  const rounds = Math.ceil((repetitions.join + warmUp) / people.length)
  const turns: Turn[] = []
  for (const count of members) {
    const rooms: RoomId[] = []
    for (let index = 0; index < rounds; index++) rooms.push(await house.makeRoom(writer))
    for (const roomId of rooms) await house.crowd(roomId, count)
    turns.push(
      turnOf(house, index => {
        const person = people[index % people.length]
        const roomId = rooms[Math.floor(index / people.length)]
        if (person === undefined || roomId === undefined) throw new ScenarioError('nobody is left to join')
        return joinRoom(person, roomId)
      }),
    )
  }
  return costsByTurns('join', repetitions.join, turns)
}

/** How many messages one turn of the sweeper deletes: a batch of its. */
const sweptMessages = 500

/**
 * What it costs the sweeper to delete 500 messages, the oldest of a room. What is left of them is gone from the houses: the last
 * rooms are used up first, and taken from the list when they are empty.
 */
export async function compareSweeps(
  sites: readonly Site[],
  repetitions: Repetitions = fullRepetitions,
): Promise<Cost[]> {
  const turns = sites.map((site): Turn => async () => {
    await outlive(site, sweptMessages)
    const { ctx } = site.house.server
    const startedMs = performance.now()
    const swept = await sweep(ctx, ctx.shutdown, 'due')
    const tookMs = performance.now() - startedMs
    if (!swept || swept.events < sweptMessages / 2) throw new ScenarioError('the sweeper found too little')
    // Messages of one millisecond go together.
    return (tookMs * sweptMessages) / swept.events
  })
  return costsByTurns(`sweep of ${sweptMessages}`, repetitions.sweep, turns)
}

/** Sets the policies of the last rooms so that their oldest messages, at least so many, have outlived it. */
async function outlive({ house, writer }: Site, count: number): Promise<void> {
  const { ctx } = house.server
  for (let missing = count; missing > 0;) {
    const roomId = house.rooms.at(-1)
    const facts = roomId === undefined ? null : await ctx.numbers.room(roomId)
    if (roomId === undefined || !facts) throw new ScenarioError('there are no rooms left to sweep')
    const { rows } = await ctx.db.pool.query<{ age_ts: number }>(
      'SELECT age_ts FROM events WHERE room_number = $1 AND state_key_number IS NULL ORDER BY age_ts LIMIT $2',
      [facts.roomNumber, missing],
    )
    const newest = rows.at(-1)
    if (newest) {
      const lifetimeMs = Math.max(1, ctx.clock.now() - newest.age_ts - 1)
      await house.call(setState(writer, roomId, 'm.room.retention', { max_lifetime: lifetimeMs }))
    }
    if (rows.length < missing) house.rooms.pop()
    missing -= rows.length
  }
  await new Promise(resolve => setTimeout(resolve, 5))
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
