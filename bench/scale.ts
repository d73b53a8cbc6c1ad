import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from './errors.ts'
import { inParallel } from './load.ts'
import { keepHouse, type Size } from './scale/kept-house.ts'
import { compareCosts, compareJoins, compareSweeps, type Cost, type Site } from './scale/measure.ts'
import { type FilledHouse, prepare } from './scale/prepare.ts'

/*
 * What a large database costs, against a small one: both are filled, each with a server over it, and asked by turns. Unlike
 * the rest of bench/ this is no black box: it runs Lethe in its own process and fills the databases through
 * `rooms/append.ts`, the one way that events take: each is built, signed, authorised and written by the log with the row of
 * its transaction ID, sealed. It knows nothing of tables or of the form of bodies. Only in this does the filling differ from
 * clients: it gathers several messages of a room in one append. What is measured goes over HTTP, but for the sweeper.
 */

const usage = `Usage: npm run bench:scale -- [options]

  --events N    how many messages the large database shall hold (1000000)
  --from N      how many the small one, that it is compared with (100000)
  --rooms N     how many rooms share them (1000)
  --members N   members of the large rooms in the comparison of joins (10000); 0 leaves it out
  --port N      where the server over the large database listens; the other takes the next one (any free ports)
  --dir FOLDER  where the databases lie; they stay there, and the next run measures them again, or fills them further. By default
                a new temporary folder, removed afterwards
  --fill-only   fill the databases in --dir and end; a run that is cut off goes on from where it was
  --help        print this and end`

const joinedRooms = 100
const joiners = 50
const smallRoomMembers = 10
const budgets = { bytesPerMessage: 1_200, growth: 1.25 } as const

type Plan = {
  readonly events: number
  readonly from: number
  readonly rooms: number
  readonly members: number
  readonly port: number
  readonly isFillOnly: boolean
}

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
      'fill-only': { type: 'boolean', default: false },
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
  const plan = {
    events: number('events'),
    from: number('from'),
    rooms: number('rooms'),
    members: number('members'),
    port: number('port'),
    isFillOnly: values['fill-only'],
  }
  if (plan.from >= plan.events) throw new UsageError('--from must be less than --events')
  if (plan.rooms < joinedRooms) throw new UsageError(`--rooms must be at least ${joinedRooms}`)
  if (plan.isFillOnly && values.dir === undefined) throw new UsageError('--fill-only needs --dir')
  const folder = values.dir ?? (await mkdtemp(join(tmpdir(), 'lethe-scale-')))
  const open: FilledHouse[] = []
  try {
    await run(folder, plan, open)
    return 0
  } finally {
    for (const filled of open) await filled.close()
    if (values.dir === undefined) await rm(folder, { recursive: true, force: true })
  }
}

async function run(folder: string, plan: Plan, open: FilledHouse[]): Promise<void> {
  const startedMs = performance.now()
  const say = (line: string): void =>
    console.error(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s: ${line}`)
  const fill = async (name: string, messages: number, port: number): Promise<Site & FilledHouse> => {
    const filling = { messages, rooms: plan.rooms, joinedRooms }
    const filled = await prepare(join(folder, name), port, filling, line => say(`${name}: ${line}`))
    open.push(filled)
    return { ...filled, writer: filled.kept.writer, reader: filled.kept.reader }
  }
  const large = await fill('large', plan.events, plan.port)
  const small = await fill('small', plan.from, plan.port === 0 ? 0 : plan.port + 1)
  if (plan.isFillOnly) return
  say('measuring …')
  const costs = await compareCosts([small, large], joinedRooms)
  const sweeps = await compareSweeps([small, large])
  for (const [name, { house, kept }] of Object.entries({ large, small }))
    await keepHouse(join(folder, name), { ...kept, rooms: house.rooms })
  const [before = [], after = []] = costs.map((ofSite, index) => [...ofSite, ...sweeps.slice(index, index + 1)])
  console.log(costTable(`at ${small.kept.messages} and at ${large.kept.messages} messages`, before, after))
  console.log(sizeTable(large.kept.sizes))
  if (plan.members > 0) {
    say(`gathering rooms of ${plan.members} …`)
    const people = await inParallel(Array.from({ length: joiners }), 4, () => small.house.person())
    const [few, many] = await compareJoins(small, people, [smallRoomMembers, plan.members])
    if (few && many) console.log(costTable(`with ${smallRoomMembers} and with ${plan.members} members`, [few], [many]))
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

function sizeTable(sizes: readonly Size[]): string {
  const empty = sizes.find(({ messages }) => messages === 0)
  const filled = sizes.filter(({ messages }) => messages > 0)
  const bytes = filled.map(({ messages, relations }) => {
    const before = new Map(empty?.relations.map(({ name, sizeBytes }) => [name, sizeBytes]))
    return new Map(
      relations.map(({ name, table, sizeBytes }) => [
        name === table ? name : `${table}: ${name}`,
        (sizeBytes - (before.get(name) ?? 0)) / messages,
      ]),
    )
  })
  const row = (name: string, figures: readonly string[]): string =>
    `${name.padEnd(56)}${figures.map(figure => figure.padStart(12)).join('')}`
  const names = [...(bytes.at(-1)?.keys() ?? [])].filter(name => bytes.some(each => (each.get(name) ?? 0) >= 0.5))
  const totals = bytes.map(each => [...each.values()].reduce((sum, figure) => sum + figure, 0))
  return [
    `\nDatabase bytes per 100-byte message (budget: ≤ ${budgets.bytesPerMessage})`,
    row('', filled.map(({ messages }) => `at ${messages}`)), // prettier-ignore
    ...names.map(name => row(name, bytes.map(each => (each.get(name) ?? 0).toFixed(0)))), // prettier-ignore
    row('all', totals.map(total => `${total.toFixed(0)} ${total <= budgets.bytesPerMessage ? 'pass' : 'MISS'}`)), // prettier-ignore
  ].join('\n')
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
