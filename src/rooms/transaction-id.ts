import { type Context, perServer } from '../context.ts'
import { type EventId } from '../protocol/identifiers.ts'
import { answeredBefore } from '../storage/events.ts'
import { type TransactionKey } from '../storage/log-changes.ts'
import { requestHash } from '../storage/transactions.ts'
import { type Actor } from './actor.ts'

/** What is being answered right now, by the hex of the request's hash. */
const underWay = perServer(() => new Map<string, Promise<EventId>>())

/**
 * Answers a request that carries a transaction ID: the first time by doing `work`, afterwards with what the first was
 * answered. A repetition that comes while the first is under way waits for it. `work` gets the key that must go with the
 * event. The scope is the user's device and the path (`parts`), whatever the body.
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
  const running = underWay(ctx)
  const earlier = running.get(name)
  if (earlier) return earlier
  const answer = answerOnce(ctx, { requestHash: hash, deviceId: actor.deviceId, transactionId }, work)
  running.set(name, answer)
  try {
    return await answer
  } finally {
    running.delete(name)
  }
}

async function answerOnce(
  ctx: Context,
  transaction: TransactionKey,
  work: (transaction: TransactionKey) => Promise<EventId>,
): Promise<EventId> {
  return (await answeredBefore(ctx.db.kysely, transaction.requestHash)) ?? (await work(transaction))
}
