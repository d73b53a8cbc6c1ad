import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const main = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.ts')

/** How a command ended, and what it said. */
export interface Run {
  readonly exit: number
  readonly shown: string
}

/** Runs `lethe` over the settings of a test server, as another process. */
export function lethe(
  folder: string,
  parameters: readonly string[],
  passphrase = 'correct horse battery',
): Promise<Run> {
  const env = { PATH: process.env['PATH'], LETHE_KEYS_PASSPHRASE: passphrase }
  const all = [main, ...parameters, '--config', join(folder, 'lethe.yaml')]
  return new Promise(resolve => {
    const child = execFile(process.execPath, all, { env, cwd: folder, timeout: 60_000 }, (_error, stdout, stderr) => {
      resolve({ exit: child.exitCode ?? -1, shown: stdout + stderr })
    })
  })
}
