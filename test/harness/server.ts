import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/clock.ts'
import { type Config, loadConfig } from '../../src/config.ts'
import { type SettingsInput } from '../../src/config/schema.ts'
import { type Context } from '../../src/context.ts'
import { createLogger, type Logger, silentLogger } from '../../src/log.ts'
import { type RunningServer, type ServerOptions, startServer } from '../../src/server.ts'
import { TestClock } from './clock.ts'
import { type Contract, loadContract } from './contract.ts'
import { testDatabase, type TestDatabase } from './database.ts'
import { observeExchanges } from './exchange.ts'

/** A real server on a database and a folder of its own. */
export interface TestServer {
  readonly url: string
  readonly adminUrl: string | null
  readonly metricsUrl: string | null
  readonly ctx: Context
  /** See `RunningServer`. */
  readonly historyLost: Promise<void>
  /** Stands still until `advance`. Absent (throws) when the server was started with the system's clock. */
  readonly clock: TestClock
  readonly config: Config
  readonly database: TestDatabase
  /** Stops the server and removes what it had. */
  close(): Promise<void>
  /** Stops the server and starts it again on the same database and folder, at another address. */
  restart(settings?: TestSettings): Promise<TestServer>
}

/** Settings as they would stand in the file, over the tests' own. */
export type TestSettings = DeepPartial<SettingsInput>

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [Key in keyof T]?: DeepPartial<T[Key]> }
    : T

export interface TestServerOptions extends Omit<ServerOptions, 'config' | 'clock'> {
  readonly settings?: TestSettings
  /** `test` (the default) stands still, `system` is the machine's. */
  readonly clock?: 'test' | 'system' | Clock
  /** A database and a folder that are the caller's, and stay when the server is closed: for several servers on one database,
   *  or one behind a proxy. */
  readonly on?: { readonly database: TestDatabase; readonly dataDir: string }
}

/** Which way in the suite runs over: `front` unless the environment says `express`. */
export const wayIn = process.env['LETHE_TEST_WAY_IN'] === 'express' ? 'express' : 'front'

const testSettings: TestSettings = {
  server_name: 'lethe.test',
  listen: { port: 0 },
  metrics: { enabled: false },
  // Most tests ask one listener for everything.
  admin: { on_public_listener: true },
  registration: { mode: 'open', i_know_open_is_unsafe: true },
  rate_limits: { enabled: false },
  // Tests say things in plain words, for all to see.
  encryption: { default_in_private_rooms: false, refuse_plaintext: false },
  profiles: { visible_to: 'users' },
  sharing: { receipts: true, typing: true },
  // Many servers share one Postgres.
  database: { pool_size: 4 },
}

/** For tests that look at what stands in the tables. */
export const plainly: TestSettings = { sealing: { enabled: false } }

let contract: Contract | null | undefined

/** The specification, parsed once in a test file. */
function theContract(): Contract | null {
  if (contract === undefined) contract = loadContract()
  return contract
}

/**
 * Starts a server: open registration, no rate limits, a clock that stands still, nothing logged (`LETHE_TEST_LOG=debug` shows
 * it). Every answer that the harness's callers get is held against the specification, where that is at hand.
 */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  if (options.on) return startOn(options.on.database, options.on.dataDir, options, () => Promise.resolve())
  const database = await testDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'lethe-test-data-'))
  const remove = async () => {
    await database.drop()
    await rm(dataDir, { recursive: true, force: true })
  }
  return startOn(database, dataDir, options, remove)
}

async function startOn(
  database: TestDatabase,
  dataDir: string,
  options: TestServerOptions,
  remove: () => Promise<void>,
): Promise<TestServer> {
  const { settings, clock: chosenClock, on: _place, ...rest } = options
  const config = await testConfig(dataDir, database.url, settings ?? {})
  const clock = chosenClock === 'system' ? systemClock : typeof chosenClock === 'object' ? chosenClock : new TestClock()
  let running: RunningServer
  try {
    running = await startServer({ config, clock, logger: testLogger(), wayIn, ...rest })
  } catch (error) {
    await remove()
    throw error
  }
  const specification = options.endpoints === undefined ? theContract() : null
  const stopObserving = specification
    ? observeExchanges(running.url, done => specification.check(done))
    : () => undefined
  const stop = async () => {
    stopObserving()
    await running.close()
  }
  return {
    url: running.url,
    adminUrl: running.adminUrl,
    metricsUrl: running.metricsUrl,
    ctx: running.ctx,
    historyLost: running.historyLost,
    get clock() {
      if (clock instanceof TestClock) return clock
      throw new Error('this server was started with another clock')
    },
    config,
    database,
    async close() {
      await stop()
      await remove()
    },
    async restart(more = {}) {
      await stop()
      return startOn(database, dataDir, { ...options, clock, settings: merge(settings ?? {}, more) }, remove)
    },
  }
}

function testLogger(): Logger {
  const level = process.env['LETHE_TEST_LOG']
  if (level !== 'debug' && level !== 'info' && level !== 'warn' && level !== 'error') return silentLogger
  return createLogger(level, process.stderr)
}

/** The tests' settings with changes, as the server's own reader of settings makes them from a file. */
export async function testConfig(dataDir: string, databaseUrl: string, settings: TestSettings): Promise<Config> {
  const own = { ...testSettings, data_dir: dataDir, database: { ...testSettings.database, url: databaseUrl } }
  const configFile = join(dataDir, 'lethe.yaml')
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(merge(own, settings)))
  const loaded = loadConfig({ env: {}, configFile, cwd: dataDir })
  if (loaded.ok) return loaded.config
  throw new Error(
    `the settings of the test are wrong: ${loaded.problems.map(each => `${each.key} ${each.message}`).join('; ')}`,
  )
}

type Tree = Readonly<Record<string, unknown>>

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function merge(under: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    merged[key] = isTree(below) && isTree(value) ? merge(below, value) : value
  }
  return merged
}
