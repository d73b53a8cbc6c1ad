import { systemClock } from '../clock.ts'
import { type Config, loadConfig } from '../config.ts'
import { createLogger, describeError, type Logger } from '../log.ts'
import { type RunningServer, startServer } from '../server.ts'
import { type MigrationProgress } from '../storage/migrate.ts'
import { type CommonOptions, exits, fail, isDatabaseAmiss } from './command.ts'
import { explain, explainSettings, problemLine } from './explain.ts'
import { migrationLine } from './migrate.ts'
import { welcome } from './welcome.ts'

/** The longest that stopping may take before the process ends anyhow. */
const stopLimitMs = 25_000

/**
 * Signals this close are one: `npm start` hands a Ctrl-C on to the server, which has had it from the terminal already. Ending
 * at once then would leave Postgres without its shutdown.
 */
const sameSignalMs = 500

/** Between two attempts to start anew. */
const restartPauseMs = 1_000

/** Where a server's settings come from; see `loadConfig`. */
export type SettingsSource = NonNullable<Parameters<typeof loadConfig>[0]>

/** Runs a server until a signal stops it. Resolves with the exit status: `done` after a clean stop. */
export async function serve(
  options: CommonOptions,
  source: SettingsSource = { configFile: options.config ?? null },
): Promise<number> {
  const loaded = loadConfig(source)
  if (!loaded.ok) return fail(explainSettings(loaded.problems), exits.unusable, options)
  const { config } = loaded
  const logger = createLogger(config.log.level)
  for (const problem of loaded.warnings) process.stderr.write(`Warning: ${problemLine(problem).trimStart()}\n`)
  surviveStrayErrors(logger)
  const stopping = stopSignal()
  let server: RunningServer
  try {
    server = await start(config, logger, options)
  } catch (error) {
    return fail(explain(error), isDatabaseAmiss(error) ? exits.unusable : exits.failed, options)
  }
  await showWelcome(server, config, options)
  for (;;) {
    const isAsked = await Promise.race([stopping.then(() => true), server.historyLost.then(() => false)])
    if (isAsked) return stop(server, logger)
    logger.error('The database goes on from another past: starting anew')
    await server.close()
    const next = await startInTime(config, logger, options, stopping)
    if (next === null) return 0
    server = next
  }
}

function start(config: Config, logger: Logger, options: CommonOptions): Promise<RunningServer> {
  const onMigration = (progress: MigrationProgress) => process.stderr.write(`${migrationLine(progress, options)}\n`)
  return startServer({ config, logger, onMigration })
}

/** Starts as soon as the database lets it: one that has just been promoted may need a while. `null` when told to stop meanwhile. */
async function startInTime(
  config: Config,
  logger: Logger,
  options: CommonOptions,
  stopping: Promise<void>,
): Promise<RunningServer | null> {
  for (;;) {
    try {
      return await start(config, logger, options)
    } catch (error) {
      logger.warn('Cannot start yet', describeError(error))
    }
    const isAsked = await Promise.race([stopping.then(() => true), systemClock.sleep(restartPauseMs).then(() => false)])
    if (isAsked) return null
  }
}

/** Says where the server is: in words on the standard error, or as one line of JSON among those of the log. */
async function showWelcome(server: RunningServer, config: Config, options: CommonOptions): Promise<void> {
  try {
    const { json, lines } = await welcome(server, config)
    if (options.json === true) process.stdout.write(`${JSON.stringify(json)}\n`)
    else process.stderr.write(`${lines.join('\n')}\n`)
  } catch (error) {
    server.ctx.logger.error('Could not make the first invitation', describeError(error))
  }
}

/**
 * An error that nobody waited for must not end the process: what matters is in the database, whole or not at all, and
 * everybody else's requests go on.
 */
function surviveStrayErrors(logger: Logger): void {
  process.on('uncaughtException', error => logger.error('An error was not handled', describeError(error)))
  process.on('unhandledRejection', reason => logger.error('A rejection was not handled', describeError(reason)))
}

/** Resolves at the first signal; another, later one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise(resolve => {
    let askedTs: number | null = null
    const stopOrEnd = () => {
      if (askedTs !== null && systemClock.now() - askedTs >= sameSignalMs) process.exit(1)
      askedTs ??= systemClock.now()
      resolve()
    }
    process.on('SIGTERM', stopOrEnd)
    process.on('SIGINT', stopOrEnd)
  })
}

async function stop(server: RunningServer, logger: Logger): Promise<number> {
  logger.info('Stopping')
  const limit = systemClock.setTimeout(() => {
    logger.error('Could not stop in time')
    process.exit(1)
  }, stopLimitMs)
  await server.close()
  limit.clear()
  return 0
}
