import { mkdir } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { authenticateToken } from './accounts/authenticate.ts'
import { recordAdminUse } from './admin/audit.ts'
import { routes } from './api/routes.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Config } from './config.ts'
import { type Context } from './context.ts'
import { type MatrixError, unavailable } from './errors.ts'
import { type Authenticators } from './http/authenticate-port.ts'
import { type Endpoint } from './http/endpoint.ts'
import { endpointsOn, type Listener } from './http/listeners.ts'
import { addProcessMetrics, createRequestMetrics } from './http/metrics.ts'
import { createHttpServer, defaultConnectionLimit, type HttpOptions, type HttpServer } from './http/mount.ts'
import { createOperationsHandler } from './http/operations.ts'
import { createLimiter } from './limiter.ts'
import { createLogger, describeError, type Logger } from './log.ts'
import { type Loop, loops } from './loops.ts'
import { openKeyring } from './privacy/keyring/open-keyring.ts'
import { keyringStoreOf } from './privacy/keyring/open-store.ts'
import { createSealedStore } from './privacy/sealed-media.ts'
import { createSealer } from './privacy/seal.ts'
import { type Random, systemRandom } from './random.ts'
import { noRemote } from './remote.ts'
import { addSweepMetrics } from './retention/metrics.ts'
import { loadSigningKey, parseSigningKey } from './signing-key.ts'
import { type Connection } from './storage/client.ts'
import { type Database, DatabaseError, openDatabase } from './storage/database.ts'
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
} from './storage/embedded-postgres.ts'
import { inspectDatabase, settleDatabase } from './storage/inspect.ts'
import { createFileStore } from './storage/media-file-store.ts'
import { migrate, type MigrationProgress, pendingMigrations, readMigrations } from './storage/migrate.ts'
import { createNumbers } from './storage/numbers.ts'
import { openLog } from './storage/open-log.ts'
import { claimDatabase, hasEvents, pingDatabase } from './storage/server-row.ts'
import { liveOf } from './sync/live.ts'

/** What a server is started with. Everything but the settings has a default: the real thing. */
export interface ServerOptions {
  readonly config: Config
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  /** Told of each database migration before it is applied. */
  readonly onMigration?: (progress: MigrationProgress) => void
  /** The way in that requests take; see `HttpOptions`. */
  readonly wayIn?: HttpOptions['wayIn']
  /** In place of all routes and loops. */
  readonly endpoints?: readonly Endpoint[]
  readonly loops?: readonly Loop[]
}

/** A server that is up. */
export interface RunningServer {
  readonly ctx: Context
  /** `http://host:port` of the listener for clients. */
  readonly url: string
  /** That of the listener for administrators, or `null` when it is switched off. */
  readonly adminUrl: string | null
  /** That of the listener for operators (metrics, health), or `null` when it is switched off. */
  readonly metricsUrl: string | null
  /** Resolves when the database was found to go on from another past (a failover that lost commits): what this server
   *  remembers is wrong then. It refuses to write, and is to be closed and started again. */
  readonly historyLost: Promise<void>
  /** Drains and stops: no new connections, long polls answer at once, running requests get 15 seconds, everything is
   *  closed within 25. A second call waits for the first. */
  close(): Promise<void>
}

/** The server cannot start; the message is for the operator. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

/** Requests that are running when the server stops may take so much longer. */
const drainMs = 15_000

/**
 * Starts a server: database (the embedded one unless there is a URL), migrations, key, log, loops, listeners. When a step
 * fails, those before it are undone and the error rises: `StartError`, `KeyringError`, `SigningKeyError`,
 * `MigrationError`, `EmbeddedPostgresError` with messages for the operator, `DatabaseError`, or Node's own for a port that is taken.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config } = options
  const logger = options.logger ?? createLogger(config.log.level)
  const undo = new UndoList(logger)
  try {
    const shutdown = new AbortController()
    const ctx = await makeContext({ ...options, logger }, undo, shutdown.signal, async db => {
      const settled = await settleDatabase(db.pool)
      if (settled.length > 0) {
        logger.info('Some settings of the database role were changed to what Lethe promises', { count: settled.length })
      }
      await migrate(db.pool, await readMigrations(), options.onMigration)
    })
    for (const { setting, message, hint } of await inspectDatabase(ctx.db.pool)) {
      logger.warn(`${message} (${hint})`, { code: setting })
    }
    // Syncs are answered from the newest part of the log, which is remembered from now on.
    liveOf(ctx)
    for (const loop of options.loops ?? loops) undo.add(loop.name, loop.start(ctx))
    const metrics = createRequestMetrics()
    const httpServer = (listener: Listener, connectionLimit: number) =>
      createHttpServer(ctx, endpointsOn(listener, options.endpoints ?? routes, config.admin), authenticators, {
        metrics,
        trustedProxies: config.trustedProxies,
        translateError,
        recordAdminUse,
        connectionLimit,
        ...(options.wayIn ? { wayIn: options.wayIn } : {}),
      })
    const metricsUrl = await openOperations(ctx, metrics.registry, undo)
    const open = async (
      listener: Listener,
      { host, port }: { readonly host: string; readonly port: number },
      connectionLimit = defaultConnectionLimit,
    ) => {
      const http = httpServer(listener, connectionLimit)
      const url = await listen(http.server, host, port)
      undo.add(`${listener} listener`, () => drain(shutdown, http))
      return url
    }
    const adminUrl = config.admin.listen.enabled ? await open('admin', config.admin.listen) : null
    const url = await open('public', config.listen, config.listen.maxConnections)
    let closing: Promise<void> | null = null
    return { ctx, url, adminUrl, metricsUrl, historyLost: ctx.db.lineage.over, close: () => (closing ??= undo.run()) }
  } catch (error) {
    await undo.run()
    throw error
  }
}

/** A context without a server: for commands, beside a server that runs or alone. */
export interface OpenContext {
  readonly ctx: Context
  close(): Promise<void>
}

/**
 * Opens what a server is made of, without loops and listeners; an embedded database that another process runs is shared. A new
 * database is prepared; one whose schema is older than this version is refused: `StartError`. Throws what `startServer` throws.
 */
export async function openContext(options: Pick<ServerOptions, 'config' | 'logger'>): Promise<OpenContext> {
  const logger = options.logger ?? createLogger(options.config.log.level)
  const undo = new UndoList(logger)
  const shutdown = new AbortController()
  try {
    const ctx = await makeContext({ ...options, logger }, undo, shutdown.signal, prepareIfNew, true)
    undo.add('work', () => Promise.resolve(shutdown.abort()))
    let closing: Promise<void> | null = null
    return { ctx, close: () => (closing ??= undo.run()) }
  } catch (error) {
    await undo.run()
    throw error
  }
}

/** Opens the database alone, as it is, and runs `work` over it. An embedded one that another process runs is shared. */
export async function withDatabase<T>(config: Config, logger: Logger, work: (db: Database) => Promise<T>): Promise<T> {
  const undo = new UndoList(logger)
  try {
    await mkdir(config.dataDir, { recursive: true, mode: 0o711 })
    const connection = await chooseDatabase(config, logger, undo, true)
    const db = openDatabase(connection, logger, { poolSize: 2 })
    undo.add('database', () => db.close())
    return await work(db)
  } finally {
    await undo.run()
  }
}

async function prepareIfNew(db: Database): Promise<void> {
  const migrations = await readMigrations()
  const pending = await pendingMigrations(db.pool, migrations)
  if (pending.length === 0) return
  if (pending.length < migrations.length) {
    throw new StartError(
      `The database is older than this version of Lethe (${pending.length} changes): run "lethe migrate" first.`,
    )
  }
  await migrate(db.pool, migrations)
}

/** Opens the database and everything over it. `prepare` brings the schema to this version, or throws. */
async function makeContext(
  options: Pick<ServerOptions, 'config' | 'clock' | 'random'> & { readonly logger: Logger },
  undo: UndoList,
  shutdown: AbortSignal,
  prepare: (db: Database) => Promise<unknown>,
  mayShare = false,
): Promise<Context> {
  const { config, logger } = options
  const clock = options.clock ?? systemClock
  const random = options.random ?? systemRandom
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 })
  const connection = await chooseDatabase(config, logger, undo, mayShare)
  const db = openDatabase(connection, logger, { poolSize: config.database.poolSize })
  undo.add('database', () => db.close())
  await prepare(db)
  await claim(db, config)
  const signingKey =
    config.signingKey === null
      ? await loadSigningKey(config.dataDir, random, () => hasEvents(db.kysely))
      : parseSigningKey(config.signingKey, 'signing_key')
  const keyring = await openKeyring({
    db,
    store: keyringStoreOf(config, random),
    serverName: config.serverName,
    random,
    logger,
  })
  const sealer = createSealer({
    keys: () => keyring.keys,
    takeChunk: () => keyring.takeChunk(),
    now: () => clock.now(),
    random,
    isOn: config.sealing.enabled,
  })
  const numbers = createNumbers(db, config.serverName, sealer)
  // Connections and polls live in real time, whatever the clock of the server says.
  const log = await openLog({
    db,
    numbers,
    clock: systemClock,
    logger,
    processId: random.letters(12),
    newEpoch: random.letters(8),
  })
  undo.add('log', () => log.close())
  return {
    config,
    serverName: config.serverName,
    clock,
    random,
    logger,
    db,
    log,
    numbers,
    keyring,
    signingKey,
    mediaStore: createSealedStore(createFileStore(config.media.store.path), sealer),
    limiter: createLimiter(clock, config.rateLimits, config.rateLimits.enabled),
    remote: noRemote,
    shutdown,
  }
}

const authenticators: Authenticators = {
  user: (ctx, { token, evenIfLocked }) => authenticateToken(ctx, token, { evenIfLocked }),
}

/** A database that is away or overloaded is no fault of the request, and may answer in a moment. */
function translateError(error: unknown): MatrixError | null {
  return error instanceof DatabaseError && error.isPassing ? unavailable() : null
}

/** The database of the settings, or the embedded one. `mayShare`: if another process runs that, it is used together with it. */
async function chooseDatabase(config: Config, logger: Logger, undo: UndoList, mayShare: boolean): Promise<Connection> {
  if (config.database.url !== null) return { url: config.database.url }
  try {
    const postgres: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir: config.dataDir, log: logger })
    undo.add('embedded database', () => postgres.stop())
    return postgres.connection
  } catch (error) {
    if (!mayShare || !(error instanceof EmbeddedPostgresError)) throw error
    const running = await runningEmbeddedPostgres(config.dataDir)
    if (!running) throw error
    return running
  }
}

async function claim(db: Database, config: Config): Promise<void> {
  const row = await claimDatabase(db, { serverName: config.serverName })
  if (row.serverName !== config.serverName) {
    throw new StartError(
      `The database belongs to the server "${row.serverName}", and server_name says "${config.serverName}". ` +
        'A server cannot be renamed: set server_name back, or use another database.',
    )
  }
}

async function openOperations(
  ctx: Context,
  registry: ReturnType<typeof createRequestMetrics>['registry'],
  undo: UndoList,
): Promise<string | null> {
  const { enabled, host, port } = ctx.config.metrics
  if (!enabled) return null
  addProcessMetrics(registry, () => ctx.log.head)
  addSweepMetrics(registry, ctx)
  const handler = createOperationsHandler(registry, async () => {
    if (ctx.shutdown.aborted) return false
    try {
      await pingDatabase(ctx.db.kysely)
      return true
    } catch (error) {
      ctx.logger.warn('The database does not answer', describeError(error))
      return false
    }
  })
  const server = createServer(handler)
  const url = await listen(server, host, port)
  undo.add(
    'operations',
    () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return url
}

/** Starts to listen; the URL with the port that was taken. */
function listen(server: Server, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      // A listener on host and port has an address of that kind.
      const { port: taken } = server.address() as AddressInfo
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${taken}`)
    })
  })
}

async function drain(shutdown: AbortController, http: HttpServer): Promise<void> {
  shutdown.abort()
  await http.close(drainMs)
}

/** What has been started, and how to end it: the last first. */
class UndoList {
  readonly #logger: Logger
  readonly #steps: { readonly name: string; readonly end: () => Promise<void> }[] = []

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(name: string, end: () => Promise<void>): void {
    this.#steps.push({ name, end })
  }

  /** Ends everything; a step that fails is reported and does not keep the others from ending. */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.end()
      } catch (error) {
        this.#logger.error('Could not end cleanly', { ...describeError(error), component: step.name })
      }
    }
  }
}
