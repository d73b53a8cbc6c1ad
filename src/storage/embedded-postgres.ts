import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import pg from 'pg'
import { systemClock } from '../clock.ts'
import { type Logger } from '../log.ts'
import { clientConfig, type Connection } from './client.ts'
import { findBinaries } from './embedded-postgres/binaries.ts'
import { clusterPath, ensureCluster, SUPERUSER } from './embedded-postgres/cluster.ts'
import { EmbeddedPostgresError, systemErrorCode } from './embedded-postgres/error.ts'
import { type FolderLock, lockFolder, SOCKET_PATH_LIMIT_BYTES } from './embedded-postgres/folder-lock.ts'
import { canReach, chooseOperatingUser, type OperatingUser } from './embedded-postgres/operating-user.ts'
import { PORT, type Postmaster, readPidFile, startPostmaster, stopOrphan } from './embedded-postgres/postmaster.ts'

export { EmbeddedPostgresError } from './embedded-postgres/error.ts'

/** A Postgres of Lethe's own, running for as long as this process wants it. */
export interface EmbeddedPostgres {
  /** For `openDatabase`: a role that owns the database `lethe` and has no other rights. */
  readonly connection: Connection
  /** The superuser, in the database `postgres`. For making other databases; the server itself never uses it. */
  readonly superuserConnection: Connection
  /** Stops Postgres (running statements get two seconds) and gives the folder back. Close the pools first. */
  stop(): Promise<void>
}

/** What the embedded database may be asked for. */
export interface EmbeddedPostgresOptions {
  /** Lethe's data folder; made when missing. The cluster lies in `postgres` below it. */
  readonly dataDir: string
  readonly log: Logger
  /** False for throw-away data: writes are not forced to the disk. */
  readonly fsync?: boolean
  /** Postgres's own settings, over ours. */
  readonly settings?: Readonly<Record<string, string>>
}

/** What system errors mean for the operator. */
const FOLDER_FAILURES: Readonly<Record<string, string>> = {
  EACCES: 'it belongs to another user (start Lethe as the user that made it), or a folder above it does',
  EPERM: 'this process may not give it to the user that PostgreSQL runs as',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of its path is a file',
}

/** The role and the database of the server. */
const NAME = 'lethe'
const RESTART_PAUSE_MS = 500
const RESTART_PAUSE_LIMIT_MS = 30_000

/**
 * Starts the Postgres whose binaries come with Lethe's dependencies, on a Unix socket that only its own user (and root) can
 * reach, with no password anywhere. The first start makes the cluster (about a second), later ones take a tenth of that.
 * What an earlier run left, a running Postgres included, is cleared away first. Should Postgres die meanwhile, it is started
 * again. Throws `EmbeddedPostgresError`, whose message is for the operator, when the folder is in use by another Lethe, the
 * binaries do not run here, or Postgres does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    return await startIn(options)
  } catch (error) {
    const reason = FOLDER_FAILURES[systemErrorCode(error) ?? '']
    if (reason === undefined) throw error
    throw new EmbeddedPostgresError(`The data folder ${resolve(options.dataDir)} cannot be used: ${reason}.`)
  }
}

async function startIn(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataFolder = resolve(options.dataDir)
  const clusterFolder = join(dataFolder, 'postgres')
  // Started by root, Postgres runs as someone else, who must be able to pass; the cluster itself is closed in any case.
  await mkdir(dataFolder, { recursive: true, mode: process.geteuid?.() === 0 ? 0o711 : 0o700 })
  const lock = await lockFolder(dataFolder)
  try {
    const user = await chooseOperatingUser(clusterFolder)
    const durable = options.fsync !== false
    await clearAway(clusterFolder, options.log)
    const binaries = await findBinaries(dataFolder, user)
    await ensureCluster(clusterFolder, dataFolder, binaries, user, durable)
    const path = await clusterPath(clusterFolder, dataFolder, user)
    const socketFolder = await makeSocketFolder(dataFolder, user, lock)
    const start = (): Promise<Postmaster> =>
      startPostmaster({
        program: binaries.postgres,
        clusterFolder,
        path,
        socketFolder,
        user,
        durable,
        settings: options.settings ?? {},
      })
    const postmaster = await start()
    const supervisor = new Supervisor(postmaster, start, options.log)
    try {
      await ensureDatabase(socketFolder)
    } catch (error) {
      await supervisor.stop()
      throw error
    }
    return {
      ...connectionsOf(socketFolder),
      async stop() {
        await supervisor.stop()
        await path.close()
        await rm(socketFolder, { recursive: true, force: true })
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** How to reach the embedded Postgres that another process runs on this data folder; null when none is running. For
 *  commands that are given while the server runs. */
export async function runningEmbeddedPostgres(dataDir: string): Promise<Connection | null> {
  const file = await readPidFile(join(resolve(dataDir), 'postgres'))
  return file?.isReady === true ? connectionsOf(file.socketFolder).connection : null
}

function connectionsOf(socketFolder: string): { connection: Connection; superuserConnection: Connection } {
  const place = { host: socketFolder, port: PORT }
  return {
    connection: { ...place, user: NAME, database: NAME },
    superuserConnection: { ...place, user: SUPERUSER, database: SUPERUSER },
  }
}

/** A folder for the socket that nobody else can enter: in the data folder when the path is short enough, else a temporary one. */
async function makeSocketFolder(dataFolder: string, user: OperatingUser, lock: FolderLock): Promise<string> {
  const inData = join(dataFolder, 'run')
  // Postgres also writes a lock file next to the socket, whose name is the longer one.
  const lengthBytes = Buffer.byteLength(join(inData, `.s.PGSQL.${PORT}.lock`))
  const fits = lengthBytes <= SOCKET_PATH_LIMIT_BYTES && lock.folderHasSockets && (await canReach(dataFolder, user))
  if (fits) await rm(inData, { recursive: true, force: true })
  const folder = fits ? inData : await mkdtemp(join(tmpdir(), 'lethe-'))
  if (fits) await mkdir(folder, { mode: 0o700 })
  await chmod(folder, 0o700)
  if (!user.isOwn) await chown(folder, user.uid, user.gid)
  return folder
}

/** Removes what a run that was killed left: a running Postgres and its temporary socket folder. */
async function clearAway(clusterFolder: string, log: Logger): Promise<void> {
  const left = await readPidFile(clusterFolder)
  if (left === null) return
  if (await stopOrphan(clusterFolder)) log.warn('Stopped the PostgreSQL that an earlier run had left behind')
  const isTemporary = dirname(left.socketFolder) === tmpdir() && /^lethe-\w{6}$/.test(basename(left.socketFolder))
  if (isTemporary) await rm(left.socketFolder, { recursive: true, force: true })
}

/** Makes the role and the database that the server uses, unless they are there. */
async function ensureDatabase(socketFolder: string): Promise<void> {
  const client = new pg.Client(clientConfig(connectionsOf(socketFolder).superuserConnection))
  await client.connect()
  try {
    const found = await client.query<{ role: boolean; base: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '${NAME}') AS role,
              EXISTS (SELECT FROM pg_database WHERE datname = '${NAME}') AS base`,
    )
    if (found.rows[0]?.role !== true) await client.query(`CREATE ROLE ${NAME} LOGIN`)
    if (found.rows[0]?.base !== true) await client.query(`CREATE DATABASE ${NAME} OWNER ${NAME} TEMPLATE template0`)
  } finally {
    await client.end()
  }
}

/** Starts Postgres again when it dies unasked, and stops it together with this process. */
class Supervisor {
  readonly #start: () => Promise<Postmaster>
  readonly #log: Logger
  readonly #stopping = new AbortController()
  readonly #watch: Promise<void>
  #postmaster: Postmaster | null

  constructor(postmaster: Postmaster, start: () => Promise<Postmaster>, log: Logger) {
    this.#postmaster = postmaster
    this.#start = start
    this.#log = log
    process.once('exit', this.#onExit)
    this.#watch = this.#supervise(postmaster)
  }

  async stop(): Promise<void> {
    process.removeListener('exit', this.#onExit)
    this.#stopping.abort()
    await this.#postmaster?.stop()
    await this.#watch
  }

  /** Nothing can be awaited any more; without this an exit in a hurry would leave Postgres running. */
  readonly #onExit = (): void => this.#postmaster?.stopWithoutWaiting()

  async #supervise(first: Postmaster): Promise<void> {
    for (let current: Postmaster | null = first; current !== null; current = await this.#restart()) {
      await current.ended
      this.#postmaster = null
      if (this.#stopping.signal.aborted) return
      this.#log.error('The embedded PostgreSQL ended; starting it again')
    }
  }

  /** Null when told to stop meanwhile. */
  async #restart(): Promise<Postmaster | null> {
    for (let pauseMs = RESTART_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_LIMIT_MS)) {
      try {
        await systemClock.sleep(pauseMs, this.#stopping.signal)
        this.#postmaster = await this.#start()
        if (!this.#stopping.signal.aborted) return this.#postmaster
        await this.#postmaster.stop()
        return null
      } catch {
        // Told to stop; or Postgres refused, which the next round may mend (a full disk that somebody clears).
        if (this.#stopping.signal.aborted) return null
        this.#log.error('The embedded PostgreSQL does not start')
      }
    }
  }
}
