import { chown, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemRandom } from '../../random.ts'
import { type Binaries } from './binaries.ts'
import { EmbeddedPostgresError, OWN_DATABASE_HINT, systemErrorCode } from './error.ts'
import { canReach, passwdEntries, type OperatingUser } from './operating-user.ts'
import { runProgram, type Outcome } from './run.ts'

/** The role of the launcher; Lethe itself connects as a role that owns its database and nothing else. */
export const SUPERUSER = 'postgres'

/** Written into a new cluster's postgresql.conf, where the operator may change them. */
const INITIAL_SETTINGS: Readonly<Record<string, string>> = {
  max_connections: '50',
  shared_buffers: '128MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** A cluster's folder as Postgres is to be told of it. */
export interface ClusterPath {
  /** What stands after `-D`. */
  readonly argument: string
  /** The open folder that Postgres gets as descriptor 3, when `argument` goes through it. */
  readonly descriptor: number | null
  close(): Promise<void>
}

/**
 * The path by which the operating user reaches a cluster. Where a folder above it is closed to that user (a checkout under
 * /root), Postgres gets the folder as an open descriptor and reaches it through /proc, which asks nobody above.
 * Throws `EmbeddedPostgresError` where neither way is open.
 */
export async function clusterPath(folder: string, dataFolder: string, user: OperatingUser): Promise<ClusterPath> {
  if (await canReach(dataFolder, user)) return { argument: folder, descriptor: null, close: async () => undefined }
  if (process.platform !== 'linux') {
    throw new EmbeddedPostgresError(
      `PostgreSQL may not run as root, and the user that it runs as cannot reach ${dataFolder}. Start Lethe as an ordinary user, or set data_dir to a folder that everybody may pass through. ${OWN_DATABASE_HINT}`,
    )
  }
  const handle = await open(folder, 'r')
  return { argument: '/proc/self/fd/3', descriptor: handle.fd, close: () => handle.close() }
}

/**
 * Makes the cluster unless it is there. It comes into being under another name and is renamed when complete, so that a
 * crash leaves either a whole cluster or none. `durable` false skips writing it through to the disk (tests).
 * Throws `EmbeddedPostgresError` when initdb fails or the cluster belongs to another major version.
 */
export async function ensureCluster(
  folder: string,
  dataFolder: string,
  binaries: Binaries,
  user: OperatingUser,
  durable: boolean,
): Promise<void> {
  await removeUnfinished(folder, dataFolder)
  const version = await clusterVersion(folder)
  if (version !== null) {
    if (version === binaries.majorVersion) return
    throw new EmbeddedPostgresError(
      `The database in ${folder} was made by PostgreSQL ${version}, and this version of Lethe brings ${binaries.majorVersion}. Start the Lethe that made it and move the data to a PostgreSQL of your own (database.url).`,
    )
  }
  const unfinished = `${folder}.new-${Buffer.from(systemRandom.bytes(6)).toString('hex')}`
  await mkdir(unfinished, { mode: 0o700 })
  if (!user.isOwn) await chown(unfinished, user.uid, user.gid)
  const path = await clusterPath(unfinished, dataFolder, user)
  try {
    const outcome = await initialise(path, binaries, user, durable)
    if (outcome.code !== 0) throw new EmbeddedPostgresError(initdbFailure(outcome))
  } finally {
    await path.close()
  }
  await rename(unfinished, folder)
}

async function initialise(
  path: ClusterPath,
  binaries: Binaries,
  user: OperatingUser,
  durable: boolean,
): Promise<Outcome> {
  const parameters = [
    `--pgdata=${path.argument}`,
    `--username=${SUPERUSER}`,
    // Whoever can enter the socket's folder (mode 0700) is the server's own user or root: there is no password to keep.
    '--auth-local=trust',
    '--auth-host=reject',
    '--encoding=UTF8',
    '--locale=C',
    '--data-checksums',
    '--no-instructions',
    ...(durable ? [] : ['--no-sync']),
    ...Object.entries(INITIAL_SETTINGS).map(([name, value]) => `--set=${name}=${value}`),
  ]
  const outcome = await runProgram(binaries.initdb, parameters, user, path.descriptor)
  if (outcome.code === 0 || !outcome.output.includes('could not look up effective user ID')) return outcome
  // initdb wants a name for its user ID; one that a container was given has none. In a user namespace of its own the same
  // user appears as one that has.
  const named = (await passwdEntries()).find(({ uid }) => uid > 0)
  if (named === undefined) return outcome
  const mapped = await runProgram(
    'unshare',
    ['--user', `--map-user=${named.uid}`, `--map-group=${named.gid}`, binaries.initdb, ...parameters],
    user,
    path.descriptor,
  )
  return mapped.code === 0 ? mapped : outcome
}

function initdbFailure(outcome: Outcome): string {
  const reason = outcome.spawnError ?? outcome.output.split('\n').slice(-5).join('\n')
  const hint = reason.includes('could not look up effective user ID')
    ? 'PostgreSQL wants the user that it runs as to have a name: run the container with a user that stands in its /etc/passwd.'
    : ''
  return `The embedded database could not be made:\n${reason}\n${hint === '' ? '' : `${hint} `}${OWN_DATABASE_HINT}`
}

async function clusterVersion(folder: string): Promise<string | null> {
  try {
    return (await readFile(join(folder, 'PG_VERSION'), 'utf8')).trim()
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT') return null
    if (code !== 'EACCES') throw error
    throw new EmbeddedPostgresError(
      `The database in ${folder} belongs to another user. Start Lethe as the user that made it (root, if it was root). ${OWN_DATABASE_HINT}`,
    )
  }
}

/** What a crash during an earlier first start left. The caller holds the folder's lock. */
async function removeUnfinished(folder: string, dataFolder: string): Promise<void> {
  for (const name of await readdir(dataFolder)) {
    const path = join(dataFolder, name)
    if (path.startsWith(`${folder}.new-`)) await rm(path, { recursive: true, force: true })
  }
}
