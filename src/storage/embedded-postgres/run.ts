import { spawn } from 'node:child_process'
import { type OperatingUser } from './operating-user.ts'

/** How a program of Postgres's ended. `code` null: it did not start or was killed; `spawnError` says why it did not start. */
export interface Outcome {
  readonly code: number | null
  readonly output: string
  readonly spawnError: string | null
}

/** Nothing of our own environment reaches Postgres: not its PG… variables, not our secrets, not the locale. */
export const CHILD_ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  TZ: 'UTC',
  PATH: '/usr/local/bin:/usr/bin:/bin',
}

const OUTPUT_LIMIT_CHARACTERS = 16_384

/** What `spawn` needs to run as another user. */
export function asUser(user: OperatingUser): { uid?: number; gid?: number } {
  return user.isOwn ? {} : { uid: user.uid, gid: user.gid }
}

/** Runs a program to its end as the user. `descriptor` is an open folder that it gets as file descriptor 3. Never throws for
 *  what the program does; the end of its output is in the outcome. */
export function runProgram(
  file: string,
  parameters: readonly string[],
  user: OperatingUser,
  descriptor: number | null = null,
): Promise<Outcome> {
  return new Promise(resolve => {
    let output = ''
    const child = spawn(file, parameters, {
      ...asUser(user),
      cwd: '/',
      env: CHILD_ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe', ...(descriptor === null ? [] : [descriptor])],
    })
    const gather = (chunk: unknown): void => {
      output = `${output}${String(chunk)}`.slice(-OUTPUT_LIMIT_CHARACTERS)
    }
    child.stdout?.on('data', gather)
    child.stderr?.on('data', gather)
    child.once('error', error => resolve({ code: null, output, spawnError: error.message }))
    child.once('close', code => resolve({ code, output: output.trim(), spawnError: null }))
  })
}
