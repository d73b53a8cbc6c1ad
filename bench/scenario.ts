import { type Connection } from './connection.ts'
import { type Person } from './calls.ts'
import { type LoadSample } from './load.ts'
import { type Options } from './options.ts'
import { type ProcessUse } from './process-tree.ts'
import { type JsonObject } from './answers.ts'
import { type Call } from './connection.ts'
import { ascending, medianOfKnown, percentile } from './statistics.ts'

/** All figures a result may have; the unit is in the name. */
export type FigureName =
  'perSecond' | 'p50Ms' | 'p99Ms' | 'kibibytesPerPoll' | 'bytesPerMessage' | 'idleMebibytes' | 'finalMebibytes'

/** The figures of one result; those that were not measured are absent. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>

/** What one watched process, with its descendants, spent on one operation, and its memory at the end of the scenario. */
export type ProcessCost = {
  readonly pid: number
  readonly name: string
  /** CPU seconds over all windows. */
  readonly cpuSeconds: number
  /** Median over the windows; `null` where no operation succeeded. */
  readonly cpuMicrosPerOperation: number | null
  readonly residentBytes: number
  readonly descendantPrivateBytes: number
}

/** One row of the report. */
export type Result = {
  readonly name: string
  readonly title: string
  readonly figures: Figures
  readonly operations: number
  readonly errors: number
  readonly rateLimited: number
  readonly firstError: string | null
  readonly processes: readonly ProcessCost[]
  /** CPU that the generator itself spent per operation, in microseconds; `null` where unknown. */
  readonly generatorMicrosPerOperation: number | null
  readonly notes: readonly string[]
  /** Why there are no figures: `skipped` for want of an option, `failed` otherwise. */
  readonly outcome: 'measured' | 'skipped' | 'failed'
}

/** What a scenario works with. Its connections are closed when it ends, whichever way it ends. */
export type Bench = {
  readonly options: Options
  /** A connection of its own, as one more client would have. */
  readonly connect: () => Connection
  /** Setup: sends, waits out rate limits, and returns the answer's JSON. Throws `ScenarioError` on a refusal. */
  readonly settle: (call: Call) => Promise<JsonObject>
  /** `count` accounts of a named group; those that exist already are used again. */
  readonly people: (group: string, count: number) => Promise<readonly Person[]>
  /** Hands over accounts that a scenario made, for others to use. */
  readonly welcome: (group: string, person: Person) => void
  /** A name that nothing else in this run has: for accounts, transactions and markers. Lower-case letters, digits and `-`. */
  readonly uniqueName: () => string
  /** What the watched processes have used so far; empty where none is watched. */
  readonly sampleProcesses: () => readonly ProcessUse[]
  /** For how long the server's event loop has stood still at most since the last call, in ms; `null` without `--metrics-url`. */
  readonly longestStall: () => Promise<number | null>
}

/** A named measurement. */
export type Scenario = {
  readonly name: string
  /** One line for people. */
  readonly title: string
  readonly run: (bench: Bench) => Promise<readonly Result[]>
}

type Window = { load: LoadSample; before: readonly ProcessUse[]; after: readonly ProcessUse[]; generatorMicros: number }

/** Gathers the windows of one result and reduces them to medians. */
export class Windows {
  readonly #bench: Bench
  readonly #windows: Window[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  /** Runs one window and notes what the watched processes and the generator spent on it. */
  async measure(run: () => Promise<LoadSample>): Promise<LoadSample> {
    const before = this.#bench.sampleProcesses()
    const generatorBefore = process.cpuUsage()
    const load = await run()
    const generator = process.cpuUsage(generatorBefore)
    const after = this.#bench.sampleProcesses()
    this.#windows.push({ load, before, after, generatorMicros: generator.user + generator.system })
    return load
  }

  /** The medians of all windows. */
  result(name: string, title: string, notes: readonly string[] = []): Result {
    const loads = this.#windows.map(window => window.load)
    const sorted = loads.map(load => ascending(load.latenciesMs))
    const perSecond = medianOfKnown(loads.map(rate))
    const p50Ms = medianOfKnown(sorted.map(latencies => percentile(latencies, 50)))
    const p99Ms = medianOfKnown(sorted.map(latencies => percentile(latencies, 99)))
    const operations = sum(loads.map(load => load.latenciesMs.length))
    return {
      ...emptyResult(name, title),
      figures: {
        ...(perSecond === null ? {} : { perSecond }),
        ...(p50Ms === null ? {} : { p50Ms }),
        ...(p99Ms === null ? {} : { p99Ms }),
      },
      operations,
      errors: sum(loads.map(load => load.errors)),
      rateLimited: sum(loads.map(load => load.rateLimited)),
      firstError: loads.map(load => load.firstError).find(error => error !== null) ?? null,
      processes: this.#processCosts(),
      generatorMicrosPerOperation: medianOfKnown(
        this.#windows.map(window => perOperation(window.generatorMicros, window.load)),
      ),
      notes,
      outcome: operations > 0 ? 'measured' : 'failed',
    }
  }

  #processCosts(): ProcessCost[] {
    const last = this.#windows.at(-1)?.after ?? []
    return last.map(use => {
      const spent = this.#windows.map(window => ({ load: window.load, seconds: secondsSpent(window, use.pid) }))
      return {
        pid: use.pid,
        name: use.name,
        cpuSeconds: sum(spent.map(entry => entry.seconds)),
        cpuMicrosPerOperation: medianOfKnown(spent.map(entry => perOperation(entry.seconds * 1_000_000, entry.load))),
        residentBytes: use.residentBytes,
        descendantPrivateBytes: use.descendantPrivateBytes,
      }
    })
  }
}

/**
 * The usual course: a warm-up that is not counted, then the windows. `load` gets the length in ms; a first failure
 * during the warm-up is reported only if the windows hit it too.
 */
export async function measureWindows(
  bench: Bench,
  name: string,
  title: string,
  load: (durationMs: number) => Promise<LoadSample>,
  notes: readonly string[] = [],
): Promise<Result> {
  const { plan } = bench.options
  await load(plan.warmUpMs)
  const windows = new Windows(bench)
  for (let index = 0; index < plan.windows; index += 1) await windows.measure(() => load(plan.windowMs))
  return windows.result(name, title, notes)
}

/** A result without figures, to be filled. */
export function emptyResult(name: string, title: string): Result {
  return {
    name,
    title,
    figures: {},
    operations: 0,
    errors: 0,
    rateLimited: 0,
    firstError: null,
    processes: [],
    generatorMicrosPerOperation: null,
    notes: [],
    outcome: 'measured',
  }
}

/** A result that says why it was not measured. */
export function skippedResult(name: string, title: string, why: string): Result {
  return { ...emptyResult(name, title), notes: [why], outcome: 'skipped' }
}

function rate(load: LoadSample): number | null {
  return load.latenciesMs.length === 0 ? null : (load.latenciesMs.length * 1_000) / load.elapsedMs
}

function perOperation(amount: number, load: LoadSample): number | null {
  return load.latenciesMs.length === 0 ? null : amount / load.latenciesMs.length
}

function secondsSpent(window: Window, pid: number): number {
  const cpuOf = (uses: readonly ProcessUse[]): number => uses.find(use => use.pid === pid)?.cpuSeconds ?? 0
  return cpuOf(window.after) - cpuOf(window.before)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
