import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadConfig } from '../config.ts'
import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { openContext } from '../server.ts'
import { explain, explainSettings } from './explain.ts'

/** What the exit status of a command means. */
export const exits = {
  done: 0,
  /** It was refused, or something went wrong. */
  failed: 1,
  /** It was called wrongly. */
  usage: 2,
  /** What it is about is not there. */
  notFound: 3,
  /** The settings are wrong, or the database cannot be used. */
  unusable: 4,
} as const

/** A command was called wrongly: a parameter says nothing that it could mean. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Options that every command has. */
export interface CommonOptions {
  readonly config?: string
  readonly json?: boolean
}

/** What a command has to say: an object for programs, and lines for people. */
export interface Outcome {
  readonly json: unknown
  readonly lines: readonly string[]
  /** `exits.done` unless it says otherwise. */
  readonly exit?: number
}

/** Shows an outcome in the way that was asked for; its exit status. */
export function show({ json, lines, exit }: Outcome, options: CommonOptions): number {
  const text = options.json === true ? JSON.stringify(json, null, 2) : lines.join('\n')
  if (text !== '') process.stdout.write(`${text}\n`)
  return exit ?? exits.done
}

/** Says why a command failed; its exit status. */
export function fail(message: string, exit: number, options: CommonOptions): number {
  if (options.json === true) process.stdout.write(`${JSON.stringify({ error: message })}\n`)
  process.stderr.write(`${message}\n`)
  return exit
}

const unusable = new Set(['DatabaseError', 'EmbeddedPostgresError', 'MigrationError'])

/** Whether it is the database that cannot be used as it is. */
export function isDatabaseAmiss(error: unknown): boolean {
  return error instanceof Error && unusable.has(error.name)
}

/** Says what ended a command; the exit status that it means. */
export function failWith(error: unknown, options: CommonOptions): number {
  if (error instanceof UsageError) return fail(error.message, exits.usage, options)
  if (error instanceof MatrixError) {
    return fail(error.message, error.errcode === 'M_NOT_FOUND' ? exits.notFound : exits.failed, options)
  }
  if (isDatabaseAmiss(error)) {
    return fail(explain(error, 'The database cannot be used'), exits.unusable, options)
  }
  return fail(explain(error, '').replace(/^: /, ''), exits.failed, options)
}

/** The settings, or `null` after saying what is wrong with them. */
function settingsOf(options: CommonOptions): Config | null {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (loaded.ok) return loaded.config
  fail(explainSettings(loaded.problems), exits.unusable, options)
  return null
}

/** Reads the settings and runs a command that needs nothing else; what it throws is said, and ends it. */
export async function withConfig(
  options: CommonOptions,
  work: (config: Config) => Outcome | Promise<Outcome>,
): Promise<number> {
  const config = settingsOf(options)
  if (config === null) return exits.unusable
  try {
    return show(await work(config), options)
  } catch (error) {
    return failWith(error, options)
  }
}

/** The same, for commands that open by themselves what they need. */
export const withSettings = withConfig

/** Opens the database of the settings, beside a running server or alone, and runs a command over it. */
export async function withContext(options: CommonOptions, work: (ctx: Context) => Promise<Outcome>): Promise<number> {
  const config = settingsOf(options)
  if (config === null) return exits.unusable
  let opened: Awaited<ReturnType<typeof openContext>>
  const isNew = config.database.url === null && !existsSync(join(config.dataDir, 'postgres'))
  try {
    opened = await openContext({ config, logger: silentLogger })
  } catch (error) {
    return fail(explain(error, 'The database cannot be used'), exits.unusable, options)
  }
  // Whoever is in another folder than they think would go on with a server that has nothing to do with theirs.
  if (isNew) process.stderr.write(`There was no server in ${config.dataDir}: a new one begins there. For another, name its settings with --config.\n`) // prettier-ignore
  try {
    return show(await work(opened.ctx), options)
  } catch (error) {
    return failWith(error, options)
  } finally {
    await opened.close()
  }
}

/** Text from the standard input, without the end of its line: passwords do not belong on a command line. */
export async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer) // Without an encoding a stream gives bytes.
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}
