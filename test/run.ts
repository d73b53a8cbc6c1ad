/**
 * `npm test`: runs jest with the parameters given and prints, as its last line, `<n> passed, <n> failed`.
 * A test file that cannot be run counts as failed, and so does a run in which no test ran at all.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What we read of jest's own report. */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numRuntimeErrorTestSuites: number
}

/** The whole is run in so many parts, one after another: one process would run out of memory, since jest gives none back. */
const parts = 6

let running: ChildProcess | null = null
let isStopped = false

function stop(signal: NodeJS.Signals): void {
  isStopped = true
  if (signal === 'SIGTERM') running?.kill(signal)
}

async function main(parameters: readonly string[]): Promise<number> {
  const runs = parameters.length > 0 ? [parameters] : Array.from({ length: parts }, (_, part) => [`--shard=${part + 1}/${parts}`]) // prettier-ignore
  let [passed, failed, exitCode] = [0, 0, 0]
  // Ctrl-C reaches jest as well; we wait for it to stop its Postgres. A SIGTERM is passed on.
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  for (const run of runs) {
    if (isStopped) break
    const done = await runPart(run)
    passed += done.passed
    failed += done.failed
    exitCode ||= done.exitCode
  }
  if (isStopped) exitCode ||= 1
  const isEmpty = passed === 0 && failed === 0
  if (isEmpty) console.log('no test ran')
  console.log(`${passed} passed, ${failed} failed`)
  return exitCode === 0 && (isEmpty || failed > 0) ? 1 : exitCode
}

async function runPart(parameters: readonly string[]): Promise<{ passed: number; failed: number; exitCode: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-tests-'))
  try {
    const reportFile = join(folder, 'report.json')
    // Clients of the tests leave timers behind; when the last test has ended and Postgres is stopped, nothing is waited for.
    const exitCode = await runJest([...parameters, '--forceExit', '--json', `--outputFile=${reportFile}`])
    const report = await readReport(reportFile)
    if (report === null) {
      console.log('jest ended without a report')
      return { passed: 0, failed: 1, exitCode: exitCode === 0 ? 1 : exitCode }
    }
    const failed = report.numFailedTests + report.numRuntimeErrorTestSuites
    return { passed: report.numPassedTests, failed, exitCode }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Jest's exit code; 1 when a signal ended it. Its JSON goes to the file only, so standard output stays readable. */
function runJest(parameters: readonly string[]): Promise<number> {
  const jest = fileURLToPath(new URL('../node_modules/jest/bin/jest.js', import.meta.url))
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...flags, jest, ...parameters], { stdio: 'inherit' })
  running = child
  return new Promise(resolve => child.once('close', code => resolve(code ?? 1)))
}

async function readReport(path: string): Promise<Report | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Report // Written by jest in this shape.
  } catch {
    // Jest crashed before it could write one: the caller says so.
    return null
  }
}

process.exitCode = await main(process.argv.slice(2))
