import { types } from 'node:util'
import { type Socket } from 'node:net'
import pg from 'pg'
import { systemClock, type Timer } from '../clock.ts'
import { type Logger } from '../log.ts'
import { DatabaseError, strippedError } from './database-error.ts'

/** How to reach a Postgres: a `postgres://` URL or the parts of one. `host` may be the folder of a Unix socket. */
export type Connection =
  | { readonly url: string }
  | { readonly host: string; readonly port: number; readonly user: string; readonly database: string }

/** Limits of every connection, in milliseconds. */
export const STATEMENT_TIMEOUT_MS = 30_000
export const LOCK_TIMEOUT_MS = 5_000
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000
export const CONNECT_TIMEOUT_MS = 5_000
/** Silence after which the kernel starts to probe a TCP connection; with libuv's ten probes a dead one is found in 15 s. */
const KEEP_ALIVE_DELAY_MS = 5_000
/** Silence after which a connection that owes an answer is given up: the kernel's probes do not notice that a proxy between
 *  has forgotten it, or that Postgres is frozen. What runs in the pool may take as long as a statement may. */
const POOL_SILENCE_MS = STATEMENT_TIMEOUT_MS + LOCK_TIMEOUT_MS
/** The log's commits and the hot reads take milliseconds. */
const QUICK_SILENCE_MS = 10_000

const INT8 = 20
const INT8_ARRAY = 1016
const DATE = 1082

function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError('the database holds an integer beyond 2^53')
  return value
}

function safeIntegerArray(text: string): (number | null)[] {
  const body = text.slice(1, -1)
  return body === '' ? [] : body.split(',').map(item => (item === 'NULL' ? null : safeInteger(item)))
}

/** Numbers for `bigint` (all of ours are below 2^53; a larger one throws), `YYYY-MM-DD` for dates (node-pg would make them
 *  midnight of the machine's time zone) and node-pg's own parsers for the rest. */
const parsers = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
    if (format !== 'binary' && oid === INT8) return safeInteger
    if (format !== 'binary' && oid === INT8_ARRAY) return safeIntegerArray
    if (oid === DATE) return String
    return pg.types.getTypeParser(oid, format)
  },
} as pg.CustomTypesConfig // The declared type has one overload per oid; the runtime contract is (oid, format) => parser.

/** What each connection is opened with. */
export function clientConfig(connection: Connection): pg.ClientConfig {
  return {
    ...('url' in connection ? { connectionString: connection.url } : connection),
    application_name: 'lethe',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    types: parsers,
  }
}

type Method = (this: unknown, ...parameters: unknown[]) => unknown

/** The same method, whose errors are stripped whether they come by callback or by promise. */
function stripping(method: Method): Method {
  return function (...parameters) {
    const callback = parameters.at(-1)
    if (typeof callback === 'function') {
      // A name of its own, for the reason that `promisedQuery` gives.
      const strippingCallback = (error: unknown, ...rest: unknown[]): unknown =>
        // Called as node-pg would have called it.
        (callback as Method).call(
          undefined,
          error === null || error === undefined ? error : strippedError(error),
          ...rest,
        )
      return method.apply(this, [...parameters.slice(0, -1), strippingCallback])
    }
    const result = method.apply(this, parameters)
    return types.isPromise(result)
      ? result.catch((error: unknown) => {
          throw strippedError(error)
        })
      : result
  }
}

/** Texts that were declared with `statement()`, and their names. */
const statementNames = new Map<string, string>()

/** Declares that `text` is sent as the prepared statement `name` by every connection from now on.
 *  Throws when the name is taken by another text or longer than Postgres keeps. */
export function nameStatement(name: string, text: string): void {
  if (name.length > 63) throw new Error(`statement name too long: ${name}`)
  const known = statementNames.get(text)
  if (known === name) return
  if (known !== undefined) throw new Error(`statements ${known} and ${name} have the same text`)
  for (const other of statementNames.values()) {
    if (other === name) throw new Error(`two statements are called ${name}`)
  }
  statementNames.set(text, name)
}

// node-pg declares `query` and `connect` with a dozen overloads; at run time each is one function of these shapes.
const plainQuery = pg.Client.prototype.query as unknown as Method
const plainConnect = pg.Client.prototype.connect as unknown as Method
const plainPoolConnect = pg.Pool.prototype.connect as unknown as Method
const plainPoolQuery = pg.Pool.prototype.query as unknown as Method

const strippingQuery = stripping(plainQuery)

/**
 * A query that answers by promise, given to node-pg with a callback all the same. The promise that node-pg itself would
 * make hangs on a function literal that it assigns to a property (`query.callback = …`), and V8 places such functions in
 * the old generation at once: each would hold its query with all the rows through every minor collection, until the next
 * full one. Most of what a page of history reads would be promoted, and the process grow by hundreds of MiB.
 */
function promisedQuery(client: unknown, [config, values]: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (error: unknown, result: unknown): void => {
      // Stripped by now.
      if (error) reject(error as Error)
      else resolve(result)
    }
    strippingQuery.call(client, config, values, settle)
  })
}

/** node-pg's own query objects (cursors and their like), which carry their callbacks with them. */
function submitsItself(config: unknown): boolean {
  return typeof config === 'object' && config !== null && 'submit' in config
}

/** What node-pg keeps and does not declare: whether the client pipelines, its socket, and what is not answered yet. */
interface PipelinedClient {
  readonly pipeline?: boolean
  readonly connection?: { readonly stream?: Partial<Socket> }
  readonly _activeQuery?: object | null
  readonly _sentQueryQueue?: readonly object[]
}

/** Lets what a pipelined client sends in one turn of the event loop go out in one write: a system call for each statement
 *  is the larger part of what sending them costs. */
function gatherWrites({ pipeline, connection }: PipelinedClient): void {
  const stream = connection?.stream
  if (pipeline !== true || stream?.writableCorked !== 0) return
  stream.cork?.()
  process.nextTick(() => stream.uncork?.())
}

function socketOf(client: pg.ClientBase): Partial<Socket> | undefined {
  return (client as unknown as PipelinedClient).connection?.stream // See there.
}

function owesAnswer(client: pg.ClientBase): boolean {
  const { _activeQuery: active, _sentQueryQueue: sent = [] } = client as unknown as PipelinedClient // See there.
  return (active !== null && active !== undefined) || sent.length > 0
}

function giveUp(client: pg.ClientBase): void {
  socketOf(client)?.destroy?.(new Error('Connection terminated for its silence'))
}

/** Clients that may take as long as they take. */
const patient = new WeakSet<pg.ClientBase>()

/** Lets a client run statements without an end. */
export function allowSilence(client: pg.ClientBase): void {
  patient.add(client)
}

/** Breaks the connection when an answer is owed and nothing has come for so long; then calls `onEnd`. What is sent meanwhile
 *  does not count: into a dead connection much can be sent. */
function endWhenSilent(client: pg.ClientBase, silenceMs: number, onEnd: () => void): void {
  const socket = socketOf(client)
  const looks = 5
  let received = 0
  let silentLooks = 0
  let timer: Timer
  const look = (): void => {
    const isSilent = owesAnswer(client) && !patient.has(client) && socket?.bytesRead === received
    received = socket?.bytesRead ?? 0
    silentLooks = isSilent ? silentLooks + 1 : 0
    if (silentLooks >= looks) {
      giveUp(client)
      onEnd()
    } else {
      timer = systemClock.setTimeout(look, silenceMs / looks)
    }
  }
  timer = systemClock.setTimeout(look, silenceMs / looks)
  socket?.once?.('close', () => timer.clear())
}

/** node-pg's client with three changes: its errors are stripped, statements declared with `statement()` are prepared once
 *  per connection, and promises hold nothing beyond their time. */
class StorageClient extends pg.Client {}
Object.defineProperties(StorageClient.prototype, {
  query: {
    value: function (this: unknown, ...parameters: unknown[]): unknown {
      const text = parameters[0]
      const name = typeof text === 'string' && Array.isArray(parameters[1]) ? statementNames.get(text) : undefined
      if (name !== undefined) parameters[0] = { name, text }
      gatherWrites(this as PipelinedClient)
      return typeof parameters.at(-1) === 'function' || submitsItself(parameters[0])
        ? strippingQuery.apply(this, parameters)
        : promisedQuery(this, parameters)
    },
  },
  connect: { value: stripping(plainConnect) },
})

/** node-pg's pool over `StorageClient`. */
class StoragePool extends pg.Pool {}
Object.defineProperties(StoragePool.prototype, {
  connect: { value: stripping(plainPoolConnect) },
  // When the connection is lost meanwhile, the error comes from the client's event and not from its `query`.
  query: { value: stripping(plainPoolQuery) },
})

/** Looks at a connection that was just opened; what it throws refuses the connection. */
export type Inspection = (client: pg.ClientBase) => Promise<void>

/** A pool of `size` connections whose losses are logged and never end the process. */
export function openPool(connection: Connection, log: Logger, size: number, inspect: Inspection): pg.Pool {
  const pool = new StoragePool({
    ...clientConfig(connection),
    Client: StorageClient,
    max: size,
    idleTimeoutMillis: 60_000,
    verify: (client, done) => {
      inspect(client).then(() => done(), done)
    },
  })
  const report = (error: unknown): void => reportLoss(log, error)
  // An idle client reports to the pool; one that is checked out, between two queries, only to itself.
  pool.on('error', report)
  pool.on('connect', client => {
    client.on('error', report)
    endWhenSilent(client, POOL_SILENCE_MS, () => void closeIdle(connection))
  })
  openOf(connection).pool = pool
  return pool
}

/** One connection outside the pool, connected: for LISTEN, for the committer, for pipelined reads. Its loss is logged;
 *  `end` is emitted as well. With `pipeline` statements are sent without waiting for the answers to earlier ones. */
export async function openClient(
  connection: Connection,
  log: Logger,
  options: { readonly pipeline?: boolean; readonly inspect?: Inspection } = {},
): Promise<pg.Client> {
  const client = new StorageClient({ ...clientConfig(connection), pipeline: options.pipeline === true })
  client.on('error', error => reportLoss(log, error))
  await client.connect()
  try {
    await options.inspect?.(client)
  } catch (error) {
    await client.end()
    throw error
  }
  const { quick } = openOf(connection)
  quick.add(client)
  client.once('end', () => quick.delete(client))
  endWhenSilent(client, QUICK_SILENCE_MS, () => void closeIdle(connection))
  return client
}

/** What is open by one address: the pool, and the clients beside it. */
interface Open {
  pool: pg.Pool | null
  readonly quick: Set<pg.Client>
}

const openByConnection = new WeakMap<Connection, Open>()

function openOf(connection: Connection): Open {
  const known = openByConnection.get(connection)
  if (known) return known
  const made: Open = { pool: null, quick: new Set() }
  openByConnection.set(connection, made)
  return made
}

/** Ends the connections that nobody waits for: what has silenced one of them will have silenced them too. */
async function closeIdle(connection: Connection): Promise<void> {
  const { pool, quick } = openOf(connection)
  for (const client of quick) if (!owesAnswer(client)) giveUp(client)
  try {
    for (let left = pool?.idleCount ?? 0; pool && left > 0 && pool.idleCount > 0; left--)
      (await pool.connect()).release(true)
  } catch {
    // The pool has been closed, or the database is away: nothing lies idle in it.
  }
}

function reportLoss(log: Logger, error: unknown): void {
  const stripped = strippedError(error)
  log.warn('A database connection was lost', { code: stripped instanceof DatabaseError ? stripped.code : 'UNKNOWN' })
}
