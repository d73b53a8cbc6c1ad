/**
 * `npm run soak -- [--cycles N] [names]`: the long form of the tests in `test/faults/` and of `test/promises/kill`: each kills,
 * cuts and restarts N times (100 unless told otherwise), all faults are tried, and the controls run that must lose something.
 * Names choose among the files of both folders (`kill`, `postgres-killed`).
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { cycles: { type: 'string', default: '100' } },
  allowPositionals: true,
})
const cycles = Number(values.cycles)
if (!Number.isSafeInteger(cycles) || cycles < 1) {
  console.error('--cycles takes a whole number from 1')
  process.exit(2)
}
const files =
  positionals.length === 0
    ? ['test/faults/', 'test/promises/kill']
    : positionals.map(name => `test/(faults|promises)/${name}`)
const child = spawn(process.execPath, [fileURLToPath(new URL('run.ts', import.meta.url)), '--runInBand', ...files], {
  stdio: 'inherit',
  env: { ...process.env, LETHE_FAULT_FORM: 'long', LETHE_FAULT_ROUNDS: String(cycles) },
})
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.once('close', code => (process.exitCode = code ?? 1))
