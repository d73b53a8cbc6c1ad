import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config.ts'
import { silentLogger } from '../src/log.ts'
import { startServer, type RunningServer } from '../src/server.ts'
import { UsageError } from './errors.ts'
import { inParallel } from './load.ts'
import { House } from './scale/house.ts'
import { measureCosts, measureJoins, measureRelations, type Cost, type Relation } from './scale/measure.ts'

/*
 * What a large database costs. Unlike the rest of bench/ this is no black box: it runs Lethe in its own process and fills
 * the database through `rooms/append.ts`, the one way that events take: each is built, signed, authorised and written by
 * the log with the row of its transaction ID. It knows nothing of tables or of the form of bodies. Only in this does the
 * filling differ from clients: it gathers several messages of a room in one append. What is measured goes over HTTP.
 */

const usage = `Usage: npm run bench:scale -- [options]

  --events N    how many messages the database shall hold (1000000)
  --from N      the number that it is compared with (100000)
  --rooms N     how many rooms share them (1000)
  --members N   members of the large rooms in the comparison of joins (10000); 0 leaves it out
  --port N      where the server listens meanwhile (any free port)
  --dir FOLDER  where the database lies meanwhile; by default a new temporary folder, removed afterwards
  --help        print this and end`

const joinedRooms = 100
const joiners = 50
const smallRoomMembers = 10
const budgets = { bytesPerMessage: 1_200, growth: 1.25 } as const

type Sizes = { readonly events: number; readonly from: number; readonly rooms: number; readonly members: number }

async function main(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      events: { type: 'string', default: '1000000' },
      from: { type: 'string', default: '100000' },
      rooms: { type: 'string', default: '1000' },
      members: { type: 'string', default: '10000' },
      port: { type: 'string', default: '0' },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const number = (name: 'events' | 'from' | 'rooms' | 'members' | 'port'): number => {
    if (!/^\d{1,9}$/.test(values[name])) throw new UsageError(`--${name} needs a whole number`)
    return Number(values[name])
  }
  const sizes = { events: number('events'), from: number('from'), rooms: number('rooms'), members: number('members') }
  if (sizes.from >= sizes.events) throw new UsageError('--from must be less than --events')
  if (sizes.rooms < joinedRooms) throw new UsageError(`--rooms must be at least ${joinedRooms}`)
  const folder = values.dir ?? (await mkdtemp(join(tmpdir(), 'lethe-scale-')))
  const server = await start(folder, number('port'))
  const house = new House(server)
  try {
    await run(house, sizes)
    return 0
  } finally {
    await house.close()
    await server.close()
    if (values.dir === undefined) await rm(folder, { recursive: true, force: true })
  }
}

async function start(folder: string, port: number): Promise<RunningServer> {
  const loaded = loadConfig({
    env: {
      LETHE_DATA_DIR: folder,
      LETHE_LISTEN__PORT: String(port),
      LETHE_METRICS__ENABLED: 'false',
      LETHE_RATE_LIMITS__ENABLED: 'false',
      LETHE_REGISTRATION__MODE: 'open',
      LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
    },
    cwd: folder,
  })
  if (!loaded.ok) throw new Error(loaded.problems.map(({ key, message }) => `${key} ${message}`).join('; '))
  return startServer({ config: loaded.config, logger: silentLogger })
}

async function run(house: House, sizes: Sizes): Promise<void> {
  const startedMs = performance.now()
  const say = (line: string): void =>
    console.error(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s: ${line}`)
  const [writer, reader] = [await house.person(), await house.person()]
  say(`making ${sizes.rooms} rooms …`)
  await house.makeRooms(writer, reader, sizes.rooms, joinedRooms)
  const empty = await measureRelations(house)
  const fill = async (count: number): Promise<void> => {
    say(`filling: ${count} messages …`)
    await house.fill(writer, count, done => say(`${done} messages`))
  }
  await fill(sizes.from)
  await measureRelations(house)
  const before = await measureCosts(house, writer, reader, joinedRooms)
  await fill(sizes.events - sizes.from)
  const full = await measureRelations(house)
  say('measuring …')
  const after = await measureCosts(house, writer, reader, joinedRooms)
  console.log(costTable(`at ${sizes.from} and at ${sizes.events} messages`, before, after))
  console.log(sizeTable(empty, full, sizes.events))
  if (sizes.members > 0) {
    const people = await inParallel(Array.from({ length: joiners }), 4, () => house.person())
    const small = await measureJoins(house, 'join', writer, people, smallRoomMembers)
    say(`gathering rooms of ${sizes.members} …`)
    const large = await measureJoins(house, 'join', writer, people, sizes.members)
    console.log(costTable(`with ${smallRoomMembers} and with ${sizes.members} members`, [small], [large]))
  }
}

function costTable(title: string, before: readonly Cost[], after: readonly Cost[]): string {
  const lines = after.map((cost, index) => {
    const known = before[index]
    if (known === undefined) throw new Error('the costs of two sizes differ')
    const ratio = cost.p50Ms / known.p50Ms
    const verdict = ratio <= budgets.growth ? 'pass' : 'MISS'
    const figures = [known.p50Ms, cost.p50Ms, ratio, known.p10Ms, cost.p10Ms, cost.p10Ms / known.p10Ms]
    return `${cost.name.padEnd(24)}${figures.map(figure => figure.toFixed(2).padStart(9)).join('')}  ${verdict}`
  })
  const columns = ['p50 ms', 'p50 ms', 'ratio', 'p10 ms', 'p10 ms', 'ratio'].map(name => name.padStart(9)).join('')
  return [`\nCosts ${title} (budget: ratio ≤ ${budgets.growth})`, `${''.padEnd(24)}${columns}`, ...lines].join('\n')
}

function sizeTable(empty: readonly Relation[], full: readonly Relation[], messages: number): string {
  const sizeBefore = new Map(empty.map(({ name, sizeBytes }) => [name, sizeBytes]))
  const grown = full.map(({ name, table, sizeBytes }) => ({
    name: name === table ? name : `${table}: ${name}`,
    bytes: (sizeBytes - (sizeBefore.get(name) ?? 0)) / messages,
  }))
  const total = grown.reduce((sum, { bytes }) => sum + bytes, 0)
  const verdict = total <= budgets.bytesPerMessage ? 'pass' : 'MISS'
  const lines = grown
    .filter(({ bytes }) => bytes >= 0.5)
    .map(({ name, bytes }) => `${name.padEnd(56)}${bytes.toFixed(0).padStart(9)}`)
  return [
    `\nDatabase bytes per 100-byte message, at ${messages}`,
    ...lines,
    `${'all (budget: ≤ 1200)'.padEnd(56)}${total.toFixed(0).padStart(9)}  ${verdict}`,
  ].join('\n')
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
