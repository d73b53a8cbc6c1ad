import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { type EventId } from '../protocol/identifiers.ts'
import { answeredBefore } from '../storage/events.ts'
import { type TransactionKey } from '../storage/log-changes.ts'
import { requestHash } from '../storage/transactions.ts'
import { type Actor } from './actor.ts'

/** How many answers are remembered. What is forgotten is still known to the database. */
const answerLimit = 50_000

class Answers {
  /** What is being answered right now, by the hex of the request's hash. */
  readonly underWay = new Map<string, Promise<EventId>>()
  /** What was answered lately. */
  readonly given = new LRUCache<string, EventId>({ max: answerLimit })
}

const answers = perServer(() => new Answers())

/**
 * Answers a request that carries a transaction ID: the first time by doing `work`, afterwards with what the first was
 * answered. A repetition that comes while the first is under way waits for it. `work` gets the key that must go with the
 * event: a repetition that this process cannot know of is found out by the database, when the event is appended. The scope
 * is the user's device and the path (`parts`), whatever the body.
 * https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers
 */
export async function once(
  ctx: Context,
  actor: Pick<Actor, 'userId' | 'deviceId'>,
  parts: readonly string[],
  transactionId: string,
  work: (transaction: TransactionKey) => Promise<EventId>,
): Promise<EventId> {
  const hash = requestHash([actor.userId, actor.deviceId, ...parts, transactionId])
  const name = hash.toString('hex')
  const { underWay, given } = answers(ctx)
  const earlier = given.get(name) ?? underWay.get(name)
  if (earlier) return earlier
  const answer = answerOnce(ctx, { requestHash: hash, deviceId: actor.deviceId, transactionId }, work)
  underWay.set(name, answer)
  try {
    const eventId = await answer
    given.set(name, eventId)
    return eventId
  } finally {
    underWay.delete(name)
  }
}

async function answerOnce(
  ctx: Context,
  transaction: TransactionKey,
  work: (transaction: TransactionKey) => Promise<EventId>,
): Promise<EventId> {
  try {
    return await work(transaction)
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    // What is refused now may have been answered before: the sender may have left the room since.
    const eventId = await answeredBefore(ctx.db.kysely, transaction.requestHash)
    if (eventId) return eventId
    throw error
  }
}
