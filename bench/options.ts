import { parseArgs } from 'node:util'
import { UsageError } from './errors.ts'

/** How accounts are made: the open flow, the flow with a token, or an administrator's secret. */
export type Registration =
  | { readonly kind: 'dummy' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'shared-secret'; readonly secret: string }

/** The size and length of the measurements. Times in milliseconds. */
export type Plan = {
  /** Load before each scenario's first window, not counted. */
  readonly warmUpMs: number
  readonly windowMs: number
  readonly windows: number
  /** Messages per window in the fan-out scenario. */
  readonly fanOutRounds: number
  /** Sender and receiver pairs in the visibility scenario. */
  readonly visiblePairs: number
  /** Messages offered per second in the visibility scenario. */
  readonly visiblePerSecond: number
  /** Rooms in the first-sync scenario; the budget is for 100. */
  readonly syncRooms: number
  readonly idlePolls: number
  /** Messages sent to learn what one costs in the database. */
  readonly storedMessages: number
  /** A scenario that has not ended by then is given up. */
  readonly scenarioLimitMs: number
}

/** Everything the command line says. */
export type Options = {
  /** Scheme, host and port; no path. */
  readonly origin: string
  readonly hostname: string
  readonly allowedHosts: readonly string[]
  readonly pids: readonly number[]
  readonly databaseUrl: string | null
  /** Where a server on Node tells its metrics, if that was said. */
  readonly metricsUrl: URL | null
  /** Names of scenarios; empty means all. */
  readonly only: readonly string[]
  readonly jsonFile: string | null
  readonly quick: boolean
  readonly registration: Registration
  /** Numbers of waiting clients, one fan-out scenario each. */
  readonly fanOut: readonly number[]
  readonly plan: Plan
}

const fullPlan: Plan = {
  warmUpMs: 2_000,
  windowMs: 5_000,
  windows: 3,
  fanOutRounds: 10,
  visiblePairs: 64,
  visiblePerSecond: 500,
  syncRooms: 100,
  idlePolls: 1_000,
  storedMessages: 20_000,
  scenarioLimitMs: 300_000,
}

/** Long enough to show that something broke, too short for figures to quote. */
const quickPlan: Plan = {
  ...fullPlan,
  warmUpMs: 300,
  windowMs: 1_000,
  fanOutRounds: 3,
  storedMessages: 2_000,
  scenarioLimitMs: 120_000,
}

/** The text that `--help` prints. */
export const usage = `Usage: npm run bench -- --url http://127.0.0.1:8008 [options]

  --url URL                  the homeserver; only this machine, unless --allow-host names another
  --pid N[,N]                also report CPU and memory of these processes and all their descendants (Linux)
  --database-url URL         also report bytes of database per message (PostgreSQL)
  --metrics-url URL          also report how long the event loop of a server on Node stood still (its /metrics)
  --only NAME[,NAME]         only these scenarios; --list prints their names
  --json FILE                also write the results as JSON
  --quick                    short windows: a smoke test, not figures to quote
  --registration-token TOKEN register accounts with this token
  --shared-secret SECRET     register accounts through Synapse's shared-secret endpoint
  --fanout N[,N]             waiting clients in the fan-out scenario (200)
  --messages N               messages sent to learn what one costs in the database (20000; quick 2000)
  --allow-host HOST          permit a host that is not this machine (repeatable)
  --list                     print the scenarios and end
  --help                     print this and end`

/** What the command line asks for. Throws `UsageError` naming the first thing wrong with it. */
export function parseOptions(argv: readonly string[]): Options | 'help' | 'list' {
  const values = parseValues(argv)
  if (values.help) return 'help'
  if (values.list) return 'list'
  if (values.url === undefined) throw new UsageError('--url is required')
  const url = parseOrigin(values.url)
  if (values['registration-token'] !== undefined && values['shared-secret'] !== undefined) {
    throw new UsageError('--registration-token and --shared-secret exclude each other')
  }
  const quick = values.quick ?? false
  const plan = quick ? quickPlan : fullPlan
  return {
    origin: url.origin,
    hostname: url.hostname,
    allowedHosts: values['allow-host'] ?? [],
    pids: values.pid === undefined ? [] : wholeNumbers('--pid', values.pid, 4_194_304),
    databaseUrl: values['database-url'] ?? null,
    metricsUrl: values['metrics-url'] === undefined ? null : parseUrl('--metrics-url', values['metrics-url']),
    only: values.only === undefined ? [] : splitList(values.only),
    jsonFile: values.json ?? null,
    quick,
    registration: registration(values['registration-token'], values['shared-secret']),
    fanOut: values.fanout === undefined ? [200] : wholeNumbers('--fanout', values.fanout, 15_000),
    plan: {
      ...plan,
      storedMessages:
        values.messages === undefined ? plan.storedMessages : wholeNumber('--messages', values.messages, 10_000_000),
    },
  }
}

function parseValues(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        url: { type: 'string' },
        pid: { type: 'string' },
        'database-url': { type: 'string' },
        'metrics-url': { type: 'string' },
        only: { type: 'string' },
        json: { type: 'string' },
        quick: { type: 'boolean' },
        'registration-token': { type: 'string' },
        'shared-secret': { type: 'string' },
        fanout: { type: 'string' },
        messages: { type: 'string' },
        'allow-host': { type: 'string', multiple: true },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'the arguments cannot be read')
  }
}

function parseUrl(option: string, text: string): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`${option} must be an http or https address`)
  }
  return url
}

function parseOrigin(text: string): URL {
  const url = parseUrl('--url', text)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new UsageError('--url must be scheme, host and port only')
  }
  return url
}

function registration(token: string | undefined, secret: string | undefined): Registration {
  if (token !== undefined) return { kind: 'token', token }
  if (secret !== undefined) return { kind: 'shared-secret', secret }
  return { kind: 'dummy' }
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
}

function wholeNumbers(option: string, text: string, limit: number): number[] {
  const numbers = splitList(text).map(part => wholeNumber(option, part, limit))
  if (numbers.length === 0) throw new UsageError(`${option} needs a number`)
  return [...new Set(numbers)]
}

function wholeNumber(option: string, text: string, limit: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > limit) throw new UsageError(`${option} needs whole numbers from 1 to ${limit}`)
  return value
}
