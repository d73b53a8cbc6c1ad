import { type Config, loadConfig } from '../config.ts'
import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { openContext } from '../server.ts'
import { explain } from './explain.ts'
import { problemLine } from './serve.ts'

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

function fail(message: string, exit: number, options: CommonOptions): number {
  if (options.json === true) process.stdout.write(`${JSON.stringify({ error: message })}\n`)
  process.stderr.write(`${message}\n`)
  return exit
}

/** Reads the settings and runs a command that needs nothing else. */
export async function withConfig(
  options: CommonOptions,
  work: (config: Config) => Outcome | Promise<Outcome>,
): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) {
    const text = `The settings are wrong:\n${loaded.problems.map(problemLine).join('')}`.trimEnd()
    return fail(text, exits.unusable, options)
  }
  return show(await work(loaded.config), options)
}

/** Reads the settings and runs a command that opens by itself what it needs; what it throws is said, and ends it with `failed`. */
export async function withSettings(
  options: CommonOptions,
  work: (config: Config) => Promise<Outcome>,
): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) return withConfig(options, () => ({ json: null, lines: [] }))
  try {
    return show(await work(loaded.config), options)
  } catch (error) {
    return fail(explain(error).replace('Lethe could not start: ', ''), exits.failed, options)
  }
}

/** Opens the database of the settings, beside a running server or alone, and runs a command over it. */
export async function withContext(options: CommonOptions, work: (ctx: Context) => Promise<Outcome>): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) return withConfig(options, () => ({ json: null, lines: [] }))
  let opened: Awaited<ReturnType<typeof openContext>>
  try {
    opened = await openContext({ config: loaded.config, logger: silentLogger })
  } catch (error) {
    return fail(explain(error).replace('Lethe could not start', 'The database cannot be used'), exits.unusable, options)
  }
  try {
    return show(await work(opened.ctx), options)
  } catch (error) {
    if (!(error instanceof MatrixError)) return fail(explain(error), exits.failed, options)
    return fail(error.message, error.errcode === 'M_NOT_FOUND' ? exits.notFound : exits.failed, options)
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
