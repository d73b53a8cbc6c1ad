import { type Context, isLocal } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { describeError } from '../log.ts'
import { type ServerName, serverNameOf, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'

/** How long other servers have to answer, unless the client says otherwise. */
const defaultTimeoutMs = 10_000
/** The longest that a client may make us wait. */
const longestTimeoutMs = 30_000
/** How many servers are asked at once for one request. */
const concurrency = 32
/** How many servers one request may make us ask: clients ask for 250 users at a time. The others count as late. */
const serversLimit = 500

/** The users of other servers among these, by server. */
export function byServer(ctx: Context, userIds: Iterable<UserId>): ReadonlyMap<ServerName, readonly UserId[]> {
  const servers = new Map<ServerName, UserId[]>()
  for (const userId of userIds) {
    if (isLocal(ctx, userId)) continue
    const server = serverNameOf(userId)
    const users = servers.get(server)
    if (users) users.push(userId)
    else servers.set(server, [userId])
  }
  return servers
}

const unreachable: JsonObject = { errcode: 'M_CONNECTION_FAILED', error: 'The server could not be asked' }
const late: JsonObject = { errcode: 'M_CONNECTION_TIMEOUT', error: 'The server did not answer in time' }

/** What a server said. */
export interface ServerAnswer {
  /** The users that the server was asked about, all of them its own. */
  readonly users: readonly UserId[]
  readonly answer: JsonObject
}

/**
 * Asks each server about its users. Never throws for a server that fails or is slow: it is named in `failures`, with an
 * error code that says how. `timeoutMs` null means ten seconds; it counts for all servers together.
 */
export async function askServers(
  ctx: Context,
  servers: ReadonlyMap<ServerName, readonly UserId[]>,
  timeoutMs: number | null,
  ask: (server: ServerName, users: readonly UserId[]) => Promise<JsonObject>,
): Promise<{ readonly answers: readonly ServerAnswer[]; readonly failures: JsonObject }> {
  const answers: ServerAnswer[] = []
  if (servers.size === 0) return { answers, failures: {} }
  const failures = new Map<string, JsonObject>()
  if (!ctx.remote.enabled) {
    for (const server of servers.keys()) failures.set(server, unreachable)
    return { answers, failures: Object.fromEntries(failures) }
  }
  const waiting = [...servers].slice(0, serversLimit)
  let isOver = false
  const work = async () => {
    for (let next = waiting.shift(); next && !isOver; next = waiting.shift()) {
      const [server, users] = next
      try {
        const answer = await ask(server, users)
        if (!isOver) answers.push({ users, answer })
      } catch (error) {
        if (isOver) return
        // Another server's failure is told to the client; only what is no answer at all is ours to look into.
        if (!(error instanceof MatrixError)) {
          ctx.logger.warn('Asking a server for keys failed', { component: 'encryption', ...describeError(error) })
        }
        failures.set(server, unreachable)
      }
    }
  }
  const timer = Promise.withResolvers<void>()
  const wait = Math.min(Math.max(timeoutMs ?? defaultTimeoutMs, 0), longestTimeoutMs)
  const timeout = ctx.clock.setTimeout(timer.resolve, wait)
  await Promise.race([Promise.all(Array.from({ length: Math.min(concurrency, servers.size) }, work)), timer.promise])
  isOver = true
  timeout.clear()
  const answered = new Set(answers.flatMap(({ users }) => users.slice(0, 1).map(serverNameOf)))
  for (const server of servers.keys()) {
    if (answered.has(server) || failures.has(server)) continue
    failures.set(server, late)
  }
  return { answers, failures: Object.fromEntries(failures) }
}
