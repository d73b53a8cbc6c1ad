import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Connection } from './connection.ts'
import { ScenarioError, UsageError } from './errors.ts'
import { requireLoopback, type Lookup } from './loopback.ts'
import { type Options } from './options.ts'
import { longestStall } from './stalls.ts'
import { Population } from './population.ts'
import { sampleProcesses, type ProcessUse } from './process-tree.ts'
import { emptyResult, type Bench, type Result, type Scenario } from './scenario.ts'

/** What a run found. */
export type Report = {
  readonly results: readonly Result[]
  /** How often setup had to wait for a rate limit; anything above 0 means that the limits are on. */
  readonly waitsForRateLimits: number
}

/** The scenarios that `only` names, in their own order; all if it is empty. Throws `UsageError` for a name nobody has. */
export function chooseScenarios(scenarios: readonly Scenario[], only: readonly string[]): readonly Scenario[] {
  const unknown = only.find(name => !scenarios.some(scenario => scenario.name === name))
  if (unknown !== undefined) throw new UsageError(`there is no scenario '${unknown}'; --list prints them`)
  return only.length === 0 ? scenarios : scenarios.filter(scenario => only.includes(scenario.name))
}

/**
 * Refuses targets, servers and databases alike, that are not this machine and were not allowed by name.
 * Throws `UsageError`.
 */
export async function requireOwnTargets(options: Options, lookup?: Lookup): Promise<void> {
  await requireLoopback(options.hostname, options.allowedHosts, lookup)
  if (options.metricsUrl !== null) await requireLoopback(options.metricsUrl.hostname, options.allowedHosts, lookup)
  if (options.databaseUrl === null) return
  const host = databaseHost(options.databaseUrl)
  // A path is a socket of this machine.
  if (host.startsWith('/')) return
  await requireLoopback(host, options.allowedHosts, lookup)
}

/** Where the driver itself would connect, parameters and environment considered. */
function databaseHost(databaseUrl: string): string {
  if (!/^postgres(ql)?:\/\//.test(databaseUrl)) throw new UsageError('--database-url must be a postgres:// address')
  try {
    return new pg.Client({ connectionString: databaseUrl }).host
  } catch {
    // The driver's message may quote the address, and with it the password.
    throw new UsageError('--database-url cannot be read')
  }
}

/** Runs the scenarios one after the other. A scenario that fails is a result that says so; the others still run. */
export async function runScenarios(
  options: Options,
  scenarios: readonly Scenario[],
  progress: (line: string) => void,
): Promise<Report> {
  await requireAnswer(options)
  const population = new Population(options)
  const watched = (): readonly ProcessUse[] => (options.pids.length === 0 ? [] : sampleProcesses(options.pids))
  if (watched().length < options.pids.length) throw new UsageError('--pid names a process that does not run')
  const results: Result[] = []
  const idle = watched()
  try {
    for (const scenario of scenarios) {
      progress(`${scenario.name}: ${scenario.title} …`)
      results.push(...(await runScenario(options, population, scenario, watched)))
    }
    if (idle.length > 0) results.push(memoryResult(idle, watched()))
    return { results, waitsForRateLimits: population.waitsForRateLimits }
  } finally {
    await population.close()
  }
}

async function runScenario(
  options: Options,
  population: Population,
  scenario: Scenario,
  watched: () => readonly ProcessUse[],
): Promise<readonly Result[]> {
  const connections: Connection[] = []
  let isOver = false
  // What a scenario that was given up still has under way must not load the next one's server.
  const requireTime = (): void => {
    if (isOver) throw new ScenarioError('the scenario is over')
  }
  const bench: Bench = {
    options,
    connect: () => {
      requireTime()
      const connection = new Connection(options.origin)
      connections.push(connection)
      return connection
    },
    settle: async call => {
      requireTime()
      return population.settle(call)
    },
    people: async (group, count) => {
      requireTime()
      return population.people(group, count)
    },
    welcome: (group, person) => population.welcome(group, person),
    uniqueName: () => population.uniqueName(),
    sampleProcesses: watched,
    longestStall: () => longestStall(options.metricsUrl),
  }
  const timer = new AbortController()
  const limit = sleep(options.plan.scenarioLimitMs, null, { signal: timer.signal }).then(() => {
    throw new ScenarioError(`not done after ${options.plan.scenarioLimitMs / 1_000} s`)
  })
  try {
    return await Promise.race([scenario.run(bench), limit])
  } catch (error) {
    // One scenario that cannot be measured must not cost the others; the report and the exit code say so.
    const reason = error instanceof Error ? error.message : 'unknown failure'
    return [{ ...emptyResult(scenario.name, scenario.title), notes: [reason], outcome: 'failed' }]
  } finally {
    isOver = true
    limit.catch(() => undefined)
    timer.abort()
    await Promise.all(connections.map(connection => connection.close()))
  }
}

async function requireAnswer(options: Options): Promise<void> {
  const connection = new Connection(options.origin)
  try {
    const answer = await connection.request({ method: 'GET', path: '/_matrix/client/versions', timeoutMs: 10_000 })
    if (answer.status !== 200) throw new UsageError(`${options.origin} answered ${answer.status} to /versions`)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`no homeserver answers at ${options.origin}`)
  } finally {
    await connection.close()
  }
}

/** The first watched process by itself, before the first scenario and after the last. */
function memoryResult(idle: readonly ProcessUse[], final: readonly ProcessUse[]): Result {
  const mebibytes = (uses: readonly ProcessUse[]): number => (uses[0]?.residentBytes ?? 0) / 1_048_576
  return {
    ...emptyResult('memory', 'memory of the first --pid, before and after'),
    figures: { idleMebibytes: mebibytes(idle), finalMebibytes: mebibytes(final) },
  }
}
