import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type TestDatabase } from '../harness/database.ts'

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** A server in a process of its own, which can be killed. */
export interface ServerProcess {
  readonly url: string
  readonly child: ChildProcess
  /** Ends the process with the signal and resolves with its exit code, `null` when the signal ended it. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>
}

/** What several processes of one server share: its signing key and media. */
export async function dataFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'lethe-fault-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Starts `lethe serve` on the database; resolves when it listens. Port 0: one that is free. `settings`: as environment variables. */
export async function startServerProcess(
  database: Pick<TestDatabase, 'url'>,
  dataDir: string,
  port = 0,
  settings: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [program, 'serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      LETHE_SERVER_NAME: 'lethe.test',
      LETHE_DATA_DIR: dataDir,
      LETHE_DATABASE__URL: database.url,
      LETHE_DATABASE__POOL_SIZE: '5',
      LETHE_LISTEN__PORT: String(port),
      LETHE_METRICS__ENABLED: 'false',
      LETHE_REGISTRATION__MODE: 'open',
      LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
      LETHE_RATE_LIMITS__ENABLED: 'false',
      LETHE_ENCRYPTION__DEFAULT_IN_PRIVATE_ROOMS: 'false',
      ...settings,
    },
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null) // The event's first value is the code.
  const url = await listening(child, exited)
  return {
    url,
    child,
    end(signal) {
      child.kill(signal)
      return exited
    },
  }
}

function listening(child: ChildProcess, exited: Promise<number | null>): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const match = /listening on (http:\/\/\S+?),/.exec(text)
      if (match?.[1]) resolve(match[1])
    })
    void exited.then(code => reject(new Error(`the server ended with ${code}: ${text}`)))
  })
}
