import { type LevelWithSilent, pino } from 'pino'

/**
 * The fields that a log line may carry. Nothing personal has a key here: no user, room, event or device, no token, no
 * address, no agent, no body, no query string. What is not listed is not logged.
 */
export interface LogFields {
  /** The endpoint's pattern, as declared, never the path as requested. */
  readonly endpoint?: string
  readonly method?: string
  readonly status?: number
  readonly errcode?: string
  readonly durationMs?: number
  readonly component?: string
  /** The class of an error and its code (SQLSTATE, errno), never its message: messages quote data. */
  readonly error?: string
  readonly code?: string
  /** Where an error was thrown: function names, files and lines of our own code. */
  readonly stack?: string
  readonly count?: number
  readonly total?: number
  readonly version?: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly url?: string
}

const allowedFields = new Set<string>([
  'endpoint', 'method', 'status', 'errcode', 'durationMs', 'component', 'error', 'code', 'stack', 'count', 'total',
  'version', 'host', 'port', 'path', 'url',
]) // prettier-ignore

/** The process's log: JSON lines. The message is a constant sentence; all that varies goes into the fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** What a log line may say of an error: its class, its code and where it was thrown, without its message. */
export function describeError(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error }
  const code = (error as { code?: unknown }).code
  const frames = (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  return {
    error: error.name === 'Error' ? error.constructor.name : error.name,
    ...(typeof code === 'string' ? { code } : {}),
    stack: frames.slice(0, 8).map(line => line.trim().replace(/file:\/\/\S*?\/(?=(?:src|dist|node_modules)\/)/, '')).join(' < '), // prettier-ignore
  }
}

/** A logger that writes to `destination` (standard output when absent). */
export function createLogger(level: LevelWithSilent = 'info', destination?: { write(line: string): unknown }): Logger {
  const options = { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }
  const target = destination ? pino(options, { write: (line: string) => void destination.write(line) }) : pino(options)
  const write =
    (method: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) => {
      const kept = Object.fromEntries(Object.entries(fields).filter(([key]) => allowedFields.has(key)))
      target[method](kept, message)
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** A logger that says nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
