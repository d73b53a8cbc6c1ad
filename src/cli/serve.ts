import { systemClock } from '../clock.ts'
import { type Config, loadConfig, type Problem } from '../config.ts'
import { createLogger, describeError, type Logger } from '../log.ts'
import { type RunningServer, startServer } from '../server.ts'
import { explain } from './explain.ts'
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

/**
 * Runs a server until a signal stops it. Resolves with the exit status: 0 after a clean stop, 1 when it could not start or
 * stop, 2 when it was called wrongly.
 */
export async function serve(
  configFile: string | null,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const loaded = loadConfig({ configFile, env })
  if (!loaded.ok) {
    process.stderr.write(`The settings are wrong:\n${loaded.problems.map(problemLine).join('')}`)
    return 1
  }
  const { config } = loaded
  const logger = createLogger(config.log.level)
  for (const problem of loaded.warnings) process.stderr.write(`Warning:${problemLine(problem).trimStart()}`)
  surviveStrayErrors(logger)
  const stopping = stopSignal()
  let server: RunningServer
  try {
    server = await start(config, logger)
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`)
    return 1
  }
  process.stderr.write(await welcomeOrNothing(server, config))
  for (;;) {
    const isAsked = await Promise.race([stopping.then(() => true), server.historyLost.then(() => false)])
    if (isAsked) return stop(server, logger)
    logger.error('The database goes on from another past: starting anew')
    await server.close()
    const next = await startInTime(config, logger, stopping)
    if (next === null) return 0
    server = next
  }
}

function start(config: Config, logger: Logger): Promise<RunningServer> {
  return startServer({
    config,
    logger,
    onMigration: ({ name, step, total }) =>
      process.stderr.write(`Preparing the database, ${step} of ${total}: ${name}\n`),
  })
}

/** Starts as soon as the database lets it: one that has just been promoted may need a while. `null` when told to stop meanwhile. */
async function startInTime(config: Config, logger: Logger, stopping: Promise<void>): Promise<RunningServer | null> {
  for (;;) {
    try {
      return await start(config, logger)
    } catch (error) {
      logger.warn('Cannot start yet', describeError(error))
    }
    const isAsked = await Promise.race([stopping.then(() => true), systemClock.sleep(restartPauseMs).then(() => false)])
    if (isAsked) return null
  }
}

/** One line about what is wrong with the settings. */
export function problemLine(problem: Problem): string {
  return `  ${problem.key} ${problem.message}${problem.hint ? ` (${problem.hint})` : ''}\n`
}

async function welcomeOrNothing(server: RunningServer, config: Config): Promise<string> {
  try {
    return await welcome(server, config)
  } catch (error) {
    server.ctx.logger.error('Could not make the first invitation', describeError(error))
    return ''
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
