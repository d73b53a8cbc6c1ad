import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ScenarioError } from './errors.ts'
import { median } from './statistics.ts'

/*
 * How long a start takes until the first request is answered: cold, into an empty folder, and warm, where all is there. Once
 * through `npm start`, as the README says, and once as a service would start what is built.
 */

const ways = {
  'npm start': ['npm', 'start'],
  'node dist/main.js': [process.execPath, '--max-semi-space-size=16', 'dist/main.js', 'serve'],
} as const
const rounds = 3
const pollMs = 10
const startLimitMs = 60_000
const budgetsMs = { cold: 6_000, warm: 1_500 } as const
const port = Number(process.argv[2] ?? 8018)

/** Starts a server over the folder, waits for its first answer, ends it; the time to the answer in ms. */
async function startOnce(command: readonly string[], folder: string): Promise<number> {
  const [program = '', ...rest] = command
  const env = {
    ...process.env,
    LETHE_DATA_DIR: folder,
    LETHE_LISTEN__PORT: String(port),
    LETHE_METRICS__ENABLED: 'false',
  }
  const startedMs = performance.now()
  // A group of its own, so that what npm starts ends with it.
  const child = spawn(program, rest, { env, stdio: 'ignore', detached: true })
  const ended = new Promise(resolve => child.once('exit', resolve))
  try {
    while (performance.now() - startedMs < startLimitMs) {
      if (await isAnswered()) return performance.now() - startedMs
      if (child.exitCode !== null) break
      await sleep(pollMs)
    }
    throw new ScenarioError('the server does not start')
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM')
    await ended
    while (await isAnswered()) await sleep(pollMs)
  }
}

async function isAnswered(): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/_matrix/client/versions`)).ok
  } catch {
    // Nobody listens.
    return false
  }
}

if (await isAnswered()) throw new ScenarioError(`something answers on port ${port} already`)
for (const [name, command] of Object.entries(ways)) {
  const times: Record<keyof typeof budgetsMs, number[]> = { cold: [], warm: [] }
  for (let round = 0; round < rounds; round++) {
    const folder = await mkdtemp(join(tmpdir(), 'lethe-start-'))
    try {
      times.cold.push(await startOnce(command, folder))
      times.warm.push(await startOnce(command, folder))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  for (const kind of ['cold', 'warm'] as const) {
    const ms = median(times[kind]) ?? Infinity
    const verdict = ms <= budgetsMs[kind] ? 'pass' : 'MISS'
    console.log(`${name.padEnd(20)}${kind}  ${ms.toFixed(0).padStart(6)} ms (budget ≤ ${budgetsMs[kind]})  ${verdict}`)
  }
}
