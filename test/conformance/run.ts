/** Runs a conformance suite against homeservers that are plain local processes. See README.md beside this file. */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { prepareComplement, type Suite, SuiteError } from './complement.ts'
import { type Control, serveControl } from './control.ts'
import { Deployments } from './deployments.ts'
import {
  countOutcomes,
  inWords,
  markdownOf,
  outdatedReasons,
  type PackageResult,
  type Reasons,
  ResultCollector,
  unexplainedFailures,
} from './report.ts'

const here = import.meta.dirname
const repository = join(here, '..', '..')
const resultsDirectory = join(here, 'results')

const usage = `usage: npm run conformance -- [--fresh] [--quiet] [package or test…]
       npm run conformance -- [--fresh] [--quiet] -- <command> [argument…]

Runs Complement (packages such as csapi, the default, or tests such as TestLogin) against homeservers that it starts, and
writes results/<package>.json and .md beside this program. Exits with 0 when every failing test has an entry in
reasons.json.

With <command> that suite is run instead. Its standard output is to be a Go test event stream; it asks for homeservers at the
URL in the environment variable CONFORMANCE_CONTROL_URL (see README.md).

  --fresh   new homeservers for every test, instead of shared ones
  --quiet   print the summary only

environment: CONFORMANCE_COMMAND        JSON array: starts one homeserver, instead of this checkout
             CONFORMANCE_DATABASE_URL   a Postgres on which each homeserver gets a database of its own
`

async function main(): Promise<number> {
  const { values, suite } = parse(process.argv.slice(2))
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const run = suite.kind === 'complement' ? await prepareComplement(suite.names) : suite.run
  try {
    return await runAgainstLethe(run, values)
  } finally {
    await run.remove()
  }
}

function parse(argv: string[]) {
  const { values, positionals, tokens } = parseArgs({
    args: argv,
    allowPositionals: true,
    tokens: true,
    options: {
      fresh: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const end = tokens.find(token => token.kind === 'option-terminator')
  if (!end) return { values, suite: { kind: 'complement', names: positionals } as const }
  const [program, ...parameters] = argv.slice(end.index + 1)
  if (program === undefined || positionals.length > parameters.length + 1) throw new SuiteError(usage)
  const run: Suite = { program, parameters, directory: process.cwd(), environment: {}, remove: () => Promise.resolve() }
  return { values, suite: { kind: 'other', run } as const }
}

async function runAgainstLethe(suite: Suite, { fresh, quiet }: { fresh: boolean; quiet: boolean }): Promise<number> {
  const reasons = parseReasons(readFileSync(join(here, 'reasons.json'), 'utf8'))
  rmSync(resultsDirectory, { recursive: true, force: true })
  mkdirSync(resultsDirectory, { recursive: true })
  const deployments = new Deployments({
    command: homeserverCommand(process.env.CONFORMANCE_COMMAND),
    workingDirectory: repository,
    logDirectory: join(resultsDirectory, 'logs'),
    databaseUrl: process.env.CONFORMANCE_DATABASE_URL ?? null,
    reuse: !fresh,
  })
  const control = await serveControl(deployments)
  try {
    const collector = new ResultCollector()
    const exitCode = await runSuite(suite, control, collector, quiet)
    return report(collector.results(), reasons, exitCode)
  } finally {
    await control.close()
    await deployments.endAll()
  }
}

function homeserverCommand(override: string | undefined): readonly string[] {
  if (override === undefined) return [process.execPath, join(repository, 'src', 'main.ts'), 'serve']
  const value: unknown = JSON.parse(override)
  if (!Array.isArray(value) || !value.every(part => typeof part === 'string')) {
    throw new Error('CONFORMANCE_COMMAND is a JSON array of strings')
  }
  return value
}

function parseReasons(text: string): Reasons {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('reasons.json is not an object')
  const reasons: Record<string, string> = {}
  for (const [name, reason] of Object.entries(value)) {
    if (typeof reason !== 'string' || reason === '') throw new Error(`reasons.json: ${name} has no sentence`)
    reasons[name] = reason
  }
  return reasons
}

/** Returns the suite's exit code, null when a signal ended it. Ctrl-C reaches the suite first; the run then ends in
 *  order, so that no homeserver outlives it. */
function runSuite(
  { program, parameters, directory, environment }: Suite,
  control: Control,
  collector: ResultCollector,
  isQuiet: boolean,
): Promise<number | null> {
  const suite = spawn(program, parameters, {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: directory,
    env: { ...environment, ...process.env, CONFORMANCE_CONTROL_URL: control.url },
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => suite.kill(signal))
  const lines = createInterface({ input: suite.stdout })
  lines.on('line', line => {
    const ended = collector.add(line)
    if (ended !== null && !isQuiet) process.stdout.write(`${ended.outcome.padEnd(4)} ${ended.name}\n`)
  })
  return new Promise((resolve, reject) => {
    suite.once('error', reject)
    suite.once('close', resolve)
  })
}

function report(results: readonly PackageResult[], reasons: Reasons, suiteExitCode: number | null): number {
  const tests = results.flatMap(result => result.tests)
  for (const result of results) {
    const path = join(resultsDirectory, result.name)
    writeFileSync(`${path}.json`, `${JSON.stringify({ ...result, counts: countOutcomes(result.tests) }, null, 2)}\n`)
    writeFileSync(`${path}.md`, markdownOf(result, reasons))
    process.stdout.write(`\n${result.name}: ${inWords(countOutcomes(result.tests).topLevel)}\n`)
    if (result.brokenBy !== null) process.stdout.write(`${result.name} failed as a whole:\n${result.brokenBy}\n`)
  }
  const unexplained = unexplainedFailures(tests, reasons)
  list('failing without a reason', unexplained)
  list('passing, so the reason can go', outdatedReasons(tests, reasons))
  const counts = countOutcomes(tests)
  process.stdout.write(`\nwith subtests: ${inWords(counts.all)}\n${inWords(counts.topLevel)}\n`)
  if (tests.length === 0) {
    process.stdout.write('no test ran\n')
    return 1
  }
  // A suite that fails as a whole although each of its failing tests is accounted for has crashed.
  const isUnaccounted = suiteExitCode === null || (suiteExitCode !== 0 && counts.all.fail === 0)
  return unexplained.length > 0 || isUnaccounted || results.some(result => result.brokenBy !== null) ? 1 : 0
}

function list(title: string, names: readonly string[]): void {
  if (names.length > 0) process.stdout.write(`\n${title}:\n${names.map(name => `  ${name}\n`).join('')}`)
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof SuiteError)) throw error
  process.stderr.write(`${error.message}\n`)
  return 2
})
