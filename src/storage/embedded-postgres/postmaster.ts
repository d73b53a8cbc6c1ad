import { spawn, type ChildProcess } from 'node:child_process'
import { readFile, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '../../clock.ts'
import { type ClusterPath } from './cluster.ts'
import { EmbeddedPostgresError, OWN_DATABASE_HINT, systemErrorCode } from './error.ts'
import { type OperatingUser } from './operating-user.ts'
import { asUser, CHILD_ENVIRONMENT, runProgram } from './run.ts'

/** The port only names the socket; nothing listens on the network. */
export const PORT = 5432

/** Set on every start, whatever postgresql.conf says: what privacy and durability rest on. */
const FIXED_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  // Errors quote rows, and statements are rows: neither is written down.
  log_min_messages: 'fatal',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  log_connections: 'off',
  log_disconnections: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
}

/** For throw-away clusters, whose loss in a power cut is no loss. What is committed still survives the death of Postgres. */
const VOLATILE_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
}

const POLL_MS = 10
const SMART_STOP_MS = 2_000
const FAST_STOP_MS = 30_000
const IMMEDIATE_STOP_MS = 5_000
/** Backends of a postmaster that was killed notice within this time and go; until then a new one is refused. */
const SUCCESSION_MS = 10_000
const OUTPUT_LIMIT_CHARACTERS = 8_192

/** A running Postgres of our own. */
export interface Postmaster {
  readonly pid: number
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>
  /** Lets running statements finish for two seconds, then breaks them off; returns when the process is gone. */
  stop(): Promise<void>
  /** Tells it to stop and does not wait: for a process that is about to end. */
  stopWithoutWaiting(): void
}

/** What `postmaster.pid` says. */
interface PidFile {
  readonly pid: number
  readonly socketFolder: string
  readonly isReady: boolean
}

/** The postmaster's own file, or null when there is none. Lines: process ID, data folder, start time, port, socket folder,
 *  listen address, shared memory, status. */
export async function readPidFile(clusterFolder: string): Promise<PidFile | null> {
  let text: string
  try {
    text = await readFile(join(clusterFolder, 'postmaster.pid'), 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null
    throw error
  }
  const lines = text.split('\n')
  return { pid: Number(lines[0]), socketFolder: lines[4] ?? '', isReady: lines[7]?.trim() === 'ready' }
}

/**
 * Starts Postgres and returns when it accepts connections; a recovery after a crash takes the time that it takes.
 * Throws `EmbeddedPostgresError` with Postgres's own words when it does not come up.
 */
export async function startPostmaster(options: {
  readonly program: string
  readonly clusterFolder: string
  readonly path: ClusterPath
  readonly socketFolder: string
  readonly user: OperatingUser
  readonly durable: boolean
  readonly settings: Readonly<Record<string, string>>
}): Promise<Postmaster> {
  const deadlineMs = systemClock.monotonic() + SUCCESSION_MS
  for (;;) {
    const attempt = await attemptStart(options)
    if (typeof attempt === 'object') return attempt
    const mayPass = /pre-existing shared memory block|is still in use/.test(attempt)
    if (!mayPass || systemClock.monotonic() > deadlineMs) {
      throw new EmbeddedPostgresError(`The embedded database did not start:\n${attempt}\n${OWN_DATABASE_HINT}`)
    }
    await systemClock.sleep(100)
  }
}

async function attemptStart(options: Parameters<typeof startPostmaster>[0]): Promise<Postmaster | string> {
  const settings = { ...FIXED_SETTINGS, ...(options.durable ? {} : VOLATILE_SETTINGS), ...options.settings }
  const child = spawn(
    options.program,
    [
      '-D',
      options.path.argument,
      '-k',
      options.socketFolder,
      '-p',
      String(PORT),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      ...asUser(options.user),
      cwd: '/',
      env: CHILD_ENVIRONMENT,
      // A session of its own: Ctrl-C in the terminal is for us, and we stop Postgres when we are done with it.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', ...(options.path.descriptor === null ? [] : [options.path.descriptor])],
    },
  )
  let output = ''
  child.stderr?.on('data', chunk => (output = `${output}${String(chunk)}`.slice(-OUTPUT_LIMIT_CHARACTERS)))
  let hasEnded = false
  const ended = new Promise<void>(resolve => {
    const end = (): void => {
      hasEnded = true
      resolve()
    }
    child.once('error', error => {
      output += error.message
      end()
    })
    child.once('close', end)
  })
  while (!hasEnded) {
    const file = await readPidFile(options.clusterFolder)
    if (file !== null && file.pid === child.pid && file.isReady) return postmasterOf(child, ended)
    await Promise.race([ended, systemClock.sleep(POLL_MS)])
  }
  return output.trim() === '' ? 'it gave no reason' : output.trim()
}

function postmasterOf(child: ChildProcess, ended: Promise<void>): Postmaster {
  // Its death shall not depend on our being alive to see it, nor our end on its.
  child.unref()
  return {
    pid: child.pid ?? 0,
    ended,
    async stop() {
      for (const [signal, patienceMs] of [
        ['SIGTERM', SMART_STOP_MS],
        ['SIGINT', FAST_STOP_MS],
        ['SIGQUIT', IMMEDIATE_STOP_MS],
        ['SIGKILL', IMMEDIATE_STOP_MS],
      ] as const) {
        child.kill(signal)
        const wait = new AbortController()
        const inTime = await Promise.race([
          ended.then(() => true),
          systemClock.sleep(patienceMs, wait.signal).then(
            () => false,
            () => false,
          ),
        ])
        wait.abort()
        if (inTime) return
      }
    },
    stopWithoutWaiting: () => void child.kill('SIGINT'),
  }
}

/**
 * Stops what an earlier Lethe left running on this cluster when it was killed, and removes a `postmaster.pid` that means
 * nobody: its process ID may belong to anyone by now, and Postgres would then refuse to start. The caller holds the
 * folder's lock, so no living Lethe owns the cluster. Returns true when there was one to stop. Throws
 * `EmbeddedPostgresError` when something answers that cannot be stopped from here.
 */
export async function stopOrphan(clusterFolder: string): Promise<boolean> {
  const file = await readPidFile(clusterFolder)
  if (file === null) return false
  const isOurs = Number.isSafeInteger(file.pid) && file.pid > 1 && (await runsOn(file.pid, clusterFolder))
  if (!isOurs) {
    if (file.socketFolder !== '' && (await answers(join(file.socketFolder, `.s.PGSQL.${PORT}`)))) {
      throw new EmbeddedPostgresError(
        `A PostgreSQL that this process cannot see (in another container?) is running on ${clusterFolder}. Stop it first.`,
      )
    }
    await rm(join(clusterFolder, 'postmaster.pid'), { force: true })
    return false
  }
  for (const [signal, patienceMs] of [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', IMMEDIATE_STOP_MS],
  ] as const) {
    const deadlineMs = systemClock.monotonic() + patienceMs
    if (!sendSignal(file.pid, signal)) return true
    while (systemClock.monotonic() < deadlineMs) {
      if (!(await runsOn(file.pid, clusterFolder))) return true
      await systemClock.sleep(POLL_MS)
    }
  }
  throw new EmbeddedPostgresError(
    `A PostgreSQL left by an earlier run (process ${file.pid}) does not stop. Stop it first.`,
  )
}

/** False when there is no such process any more. */
function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false
    throw error
  }
}

/** True when the process is a Postgres that works in this folder; its ID alone says nothing. */
async function runsOn(pid: number, clusterFolder: string): Promise<boolean> {
  if (process.platform === 'linux') {
    try {
      const [inside, cluster] = await Promise.all([stat(`/proc/${pid}/cwd`), stat(clusterFolder)])
      return inside.ino === cluster.ino && inside.dev === cluster.dev
    } catch (error) {
      const code = systemErrorCode(error)
      // No such process, one that is just ending, or another user's: a cluster's processes belong to its owner.
      if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return false
      throw error
    }
  }
  const listed = await runProgram('ps', ['-o', 'args=', '-p', String(pid)], { uid: 0, gid: 0, isOwn: true })
  return listed.output.includes('postgres') && listed.output.includes(clusterFolder)
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
