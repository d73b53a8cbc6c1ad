import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** The port of the client-server API, the one that conformance suites expect of a homeserver. */
export const clientPort = 8008

/** The port of the server-server API (TLS), likewise. The address is reserved for it; whoever builds the
 *  federation listener passes its settings in `environmentOf`. */
export const federationPort = 8448

const readinessTimeoutMs = 30_000
const readinessPollMs = 50
const stopTimeoutMs = 10_000
const logTailBytes = 4_000

/** How one homeserver of a deployment is to be started. */
export interface HomeserverSettings {
  /** The server's name in Matrix identifiers, such as `hs1`. */
  readonly serverName: string
  /** A loopback address that no other homeserver uses. */
  readonly address: string
  /** Where the server keeps its files; it survives a restart. */
  readonly dataDirectory: string
  /** The file that receives all that the process writes; appended to. */
  readonly logFile: string
  /** A Postgres database for this server alone; null lets the server bring its own. */
  readonly databaseUrl: string | null
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** The directory in which the program starts. */
  readonly workingDirectory: string
}

/** The environment of a homeserver process: what programs need to run at all, `LETHE_*` settings of the caller, and
 *  over both what a conformance run depends on. Registration is open and unlimited: never use this outside a test. */
export function environmentOf(
  settings: HomeserverSettings,
  inherited: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const [key, value] of Object.entries(inherited)) {
    const needed = key === 'PATH' || key === 'HOME' || key === 'TMPDIR' || key === 'LANG' || key.startsWith('LETHE_')
    if (needed && value !== undefined) environment[key] = value
  }
  return {
    ...environment,
    LETHE_SERVER_NAME: settings.serverName,
    LETHE_DATA_DIR: settings.dataDirectory,
    LETHE_LISTEN__HOST: settings.address,
    LETHE_LISTEN__PORT: String(clientPort),
    LETHE_REGISTRATION__MODE: 'open',
    LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
    LETHE_REGISTRATION__SHARED_SECRET: 'complement',
    LETHE_RATE_LIMITS__ENABLED: 'false',
    LETHE_METRICS__ENABLED: 'false',
    // Suites write the creator of a room into its power levels, which version 12 forbids.
    LETHE_ROOMS__DEFAULT_VERSION: '11',
    // What Lethe keeps to itself by default and suites want to see.
    LETHE_PROFILES__VISIBLE_TO: 'everyone',
    LETHE_SHARING__RECEIPTS: 'true',
    LETHE_SHARING__TYPING: 'true',
    LETHE_SHARING__DEVICE_NAMES: 'true',
    LETHE_ENCRYPTION__DEFAULT_IN_PRIVATE_ROOMS: 'false',
    LETHE_ENCRYPTION__REFUSE_PLAINTEXT: 'false',
    ...(settings.databaseUrl === null ? {} : { LETHE_DATABASE__URL: settings.databaseUrl }),
  }
}

/** One homeserver as a local process in a process group of its own. Not safe for overlapping calls: the owner awaits
 *  each before the next. */
export class HomeserverProcess {
  readonly settings: HomeserverSettings
  #child: ChildProcess | null = null
  #exited: Promise<void> = Promise.resolve()
  #isPaused = false

  constructor(settings: HomeserverSettings) {
    this.settings = settings
  }

  /** The base of the client-server API, without a slash at the end. */
  get clientUrl(): string {
    return `http://${this.settings.address}:${clientPort}`
  }

  /** True from the start of the process until it has ended, by whatever cause. */
  get isRunning(): boolean {
    return this.#child !== null
  }

  /** Starts the process and returns when `GET /_matrix/client/versions` answers 200. Throws, with the end of the log,
   *  when the process ends first or when 30 seconds pass; nothing is left running then. */
  async start(): Promise<void> {
    if (this.#child !== null) throw new Error(`${this.settings.serverName} is already running`)
    const [program, ...parameters] = this.settings.command
    if (program === undefined) throw new Error('the command that starts a homeserver is empty')
    mkdirSync(this.settings.dataDirectory, { recursive: true })
    mkdirSync(join(this.settings.logFile, '..'), { recursive: true })
    const log = openSync(this.settings.logFile, 'a')
    const child = spawn(program, parameters, {
      cwd: this.settings.workingDirectory,
      env: environmentOf(this.settings, process.env),
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    this.#child = child
    this.#isPaused = false
    let spawnError: Error | null = null
    this.#exited = new Promise(resolve => {
      const ended = (): void => {
        this.#child = null
        endGroup(child.pid)
        resolve()
      }
      child.once('exit', ended)
      child.once('error', error => {
        spawnError = error
        ended()
      })
    })
    const deadline = performance.now() + readinessTimeoutMs
    while (performance.now() < deadline) {
      if (this.#child === null) throw this.#failure(spawnError === null ? 'ended before it was ready' : 'did not start')
      if (await this.#answers()) return
      await delay(readinessPollMs)
    }
    await this.stop()
    throw this.#failure(`was not ready after ${readinessTimeoutMs / 1000} s`)
  }

  /** Asks the process to end (SIGTERM) and, after 10 seconds, ends its whole group (SIGKILL). Does nothing to a process
   *  that has ended. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) return
    if (this.#isPaused) this.unpause()
    child.kill('SIGTERM')
    const timer = new AbortController()
    const isInTime = await Promise.race([
      this.#exited.then(() => true),
      delay(stopTimeoutMs, false, { signal: timer.signal }).catch(() => false),
    ])
    timer.abort()
    if (isInTime) return
    this.#signalGroup('SIGKILL')
    await this.#exited
  }

  /** Ends the process and starts it again on the same data and address. Throws as `start` does. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Suspends the whole process group: its sockets stay open and answer nothing. */
  pause(): void {
    this.#signalGroup('SIGSTOP')
    this.#isPaused = true
  }

  /** Lets a suspended process group go on. */
  unpause(): void {
    this.#signalGroup('SIGCONT')
    this.#isPaused = false
  }

  /** The last few kilobytes of the log; empty before the first start. */
  logTail(): string {
    try {
      return readFileSync(this.settings.logFile, 'utf8').slice(-logTailBytes)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return ''
      throw error
    }
  }

  #signalGroup(signal: NodeJS.Signals): void {
    const processId = this.#child?.pid
    if (processId === undefined) throw new Error(`${this.settings.serverName} is not running`)
    // The child leads a group of its own (`detached`), so this reaches it and what it started, and nothing else.
    process.kill(-processId, signal)
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.clientUrl}/_matrix/client/versions`, { signal: AbortSignal.timeout(2_000) })
      await response.arrayBuffer()
      return response.status === 200
    } catch {
      // Not listening yet, or not answering yet: the caller asks again until its deadline.
      return false
    }
  }

  #failure(what: string): Error {
    return new Error(`${this.settings.serverName} ${what}; the end of its log:\n${this.logTail()}`)
  }
}

/** Ends what a homeserver that has ended left running in its group, such as a database it had started. */
function endGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch (error) {
    // Nothing was left, which is the rule.
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

/** The code of a system error; null of anything else. Asks for the property only, because test runners give tests an
 *  `Error` of their own that system errors are no instances of. */
function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : null
}
