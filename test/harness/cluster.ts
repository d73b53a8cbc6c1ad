import { randomBytes } from 'node:crypto'
import { access, constants, readdir, rm, stat, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { silentLogger } from '../../src/log.ts'
import { type Connection } from '../../src/storage/client.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { EmbeddedPostgresError, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'
import { lockFolder } from '../../src/storage/embedded-postgres/folder-lock.ts'
import { stopOrphan } from '../../src/storage/embedded-postgres/postmaster.ts'
import { migrate, readMigrations } from '../../src/storage/migrate.ts'

/** What a test process must know to make databases of its own. */
export interface ClusterAddress {
  readonly host: string
  readonly port: number
  readonly superuser: string
  /** The role that owns the databases. */
  readonly owner: string
  /** A migrated, empty database to be cloned. */
  readonly template: string
  /** Cloning by copying files is fastest in memory, by writing to the log on a disk. */
  readonly strategy: 'FILE_COPY' | 'WAL_LOG'
}

/** A throw-away cluster for one test run. */
export interface Cluster {
  readonly address: ClusterAddress
  /** Stops it and removes its folder. */
  stop(): Promise<void>
}

const MEMORY_FOLDER = '/dev/shm'
const ROOM_NEEDED_BYTES = 512 * 1024 * 1024
const PREFIX = 'lethe-test-'
/** A folder younger than this may belong to a run that is just starting and has not locked it yet. */
const LEFTOVER_AGE_MS = 60_000
const TEMPLATE = 'lethe_template'

/** Starts a cluster (in memory where there is room, never forced to the disk) and migrates the template database. */
export async function startCluster(): Promise<Cluster> {
  const inMemory = await hasRoom(MEMORY_FOLDER)
  const parent = inMemory ? MEMORY_FOLDER : tmpdir()
  await removeLeftovers(parent)
  const folder = join(parent, `${PREFIX}${randomBytes(4).toString('hex')}`)
  const postgres = await startEmbeddedPostgres({
    dataDir: folder,
    log: silentLogger,
    fsync: false,
    settings: { max_connections: '200', autovacuum: 'off', max_wal_size: '128MB', min_wal_size: '32MB' },
  })
  const stop = async (): Promise<void> => {
    await postgres.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const { connection, superuserConnection } = postgres
    if ('url' in connection || 'url' in superuserConnection) throw new Error('an embedded Postgres has no URL')
    const { host, port, user: superuser } = superuserConnection
    const owner = connection.user
    await asSuperuser(superuserConnection, `CREATE DATABASE ${TEMPLATE} OWNER ${owner} TEMPLATE template0`)
    const database = openDatabase({ ...connection, database: TEMPLATE }, silentLogger)
    await migrate(database.pool, await readMigrations())
    await database.close()
    const strategy = inMemory ? 'FILE_COPY' : 'WAL_LOG'
    return { address: { host, port, superuser, owner, template: TEMPLATE, strategy }, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Runs one statement on a connection of its own. */
export async function asSuperuser(connection: Connection, statement: string): Promise<void> {
  const client = new pg.Client('url' in connection ? { connectionString: connection.url } : connection)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

async function hasRoom(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK)
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize >= ROOM_NEEDED_BYTES
  } catch {
    // No such folder (macOS), or not ours to write to: the disk will do.
    return false
  }
}

/** Memory is short: what a killed run left there goes when the next one starts. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) continue
    const folder = join(parent, name)
    try {
      if (Date.now() - (await stat(folder)).mtimeMs < LEFTOVER_AGE_MS) continue
      const lock = await lockFolder(folder)
      await stopOrphan(join(folder, 'postgres'))
      await lock.release()
      await rm(folder, { recursive: true, force: true })
    } catch (error) {
      // In use, or another user's, or another run was faster to remove it.
      const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
      if (!(error instanceof EmbeddedPostgresError) && code !== 'EACCES' && code !== 'ENOENT' && code !== 'EPERM') {
        throw error
      }
    }
  }
}
