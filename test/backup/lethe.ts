import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'

export const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** The settings of an operator's server on a database and in a folder. */
export async function writeSettings(dataDir: string, databaseUrl: string, more: JsonObject = {}): Promise<string> {
  const file = join(dataDir, 'operator.yaml')
  const settings = {
    server_name: 'lethe.test',
    data_dir: dataDir,
    database: { url: databaseUrl, pool_size: 4 },
    ...more,
  }
  // JSON is YAML.
  await writeFile(file, JSON.stringify(settings))
  return file
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  /** What was answered with `--json`; empty where it is not JSON. */
  readonly json: JsonObject
}

/** Runs a command as a process of its own. */
export async function lethe(
  settingsFile: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const env = { PATH: process.env['PATH'], LETHE_KEYS_PASSPHRASE: 'correct horse battery', ...environment }
  const child = spawn(process.execPath, [main, ...parameters, '--json', '--config', settingsFile], { env, stdio: ['ignore', 'pipe', 'pipe'] }) // prettier-ignore
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => (out += String(chunk)))
  child.stderr.on('data', chunk => (err += String(chunk)))
  const [code] = (await once(child, 'close')) as [number] // The event's first value is the code.
  return { code, out, err, json: objectIn(out) }
}

function objectIn(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}
