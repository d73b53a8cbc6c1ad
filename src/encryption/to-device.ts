import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { type DeviceId, type UserId } from '../protocol/identifiers.ts'
import { transaction } from '../storage/database.ts'
import { deleteDelivered, pendingFor, trimQueue } from '../storage/to-device.ts'

/** A device that messages are sent to. */
export interface ReceivingDevice {
  readonly userId: UserId
  readonly userNumber: number
  readonly deviceId: DeviceId
}

/** A message as a client receives it. */
export interface DeliveredMessage {
  /** Of the log. */
  readonly position: number
  readonly sender: UserId
  readonly type: string
  /** JSON text of the content. */
  readonly content: string
}

/** How many messages one answer carries. https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-5 */
export const deliveryLimit = 100
/** How many messages may wait for a device; beyond that, the oldest of those who sent most are dropped. */
export const queueLimit = 10_000
/** A queue is looked at when so many messages have been added to it: it may be longer than its limit by as many. */
const trimInterval = 1_000
/** How many devices' queues are remembered. */
const rememberedLimit = 100_000

/** What this process knows of a device's queue. Nothing waits when `last` is not above `cleared`. */
interface QueueHint {
  /** No message stands at a higher position. */
  last: number
  /** No message stands at this position or below. */
  cleared: number
  /** Messages added since the queue was last looked at. */
  added: number
}

/** Hints by user and device. They spare the database a question per sync: nearly always nothing waits. */
const queueHints = perServer(ctx => {
  const hints = new LRUCache<string, QueueHint>({ max: rememberedLimit })
  ctx.log.subscribe(entries => {
    for (const entry of entries) {
      if (entry.kind !== 'to_device') continue
      // A device that is not remembered gets a hint from the head of the log, which is past this entry then.
      const hint = hints.peek(queueName(entry.userId, entry.deviceId))
      if (!hint) continue
      hint.last = entry.position
      hint.added += 1
    }
  })
  return hints
})

const queueName = (userId: UserId, deviceId: DeviceId) => `${userId} ${deviceId}`

function hintOf(ctx: Context, device: ReceivingDevice): QueueHint {
  const hints = queueHints(ctx)
  const name = queueName(device.userId, device.deviceId)
  const known = hints.get(name)
  if (known) return known
  const hint = { last: ctx.log.head, cleared: 0, added: 0 }
  hints.set(name, hint)
  return hint
}

/**
 * The messages that wait for a device at positions up to and including `upToPosition`, oldest first, and whether there are
 * more than `limit` of them. They stay until they are acknowledged. Asks the database nothing when nothing can be waiting.
 * `upToPosition` may not be ahead of this process's head of the log.
 */
export async function pendingMessages(
  ctx: Context,
  device: ReceivingDevice,
  upToPosition: number,
  limit: number = deliveryLimit,
): Promise<{ readonly messages: readonly DeliveredMessage[]; readonly more: boolean }> {
  const hint = hintOf(ctx, device)
  if (hint.last <= hint.cleared || upToPosition <= hint.cleared) return { messages: [], more: false }
  const rows = await pendingFor(
    ctx.db.kysely,
    ctx.numbers.sealer,
    device.userNumber,
    device.deviceId,
    upToPosition,
    limit + 1,
  )
  if (rows.length === 0) hint.cleared = Math.max(hint.cleared, upToPosition)
  const senders = await ctx.numbers.userIds(rows.map(row => row.senderNumber))
  const messages = rows.slice(0, limit).flatMap(({ position, senderNumber, type, content }) => {
    const sender = senders.get(senderNumber)
    return sender === undefined ? [] : [{ position, sender, type, content }]
  })
  return { messages, more: rows.length > limit }
}

/** True if nothing waits for a device up to a position, as far as is known without asking, and its queue need not be trimmed. */
export function isQueueEmpty(ctx: Context, device: ReceivingDevice, upToPosition: number): boolean {
  const { last, cleared, added } = hintOf(ctx, device)
  return (last <= cleared || upToPosition <= cleared) && added < trimInterval
}

/**
 * Deletes what a device has received: its messages at positions up to and including `throughPosition`. Asks the database
 * nothing when nothing can be waiting there.
 */
export async function acknowledgeMessages(
  ctx: Context,
  device: ReceivingDevice,
  throughPosition: number,
): Promise<void> {
  const hint = hintOf(ctx, device)
  const through = Math.min(throughPosition, ctx.log.head)
  if (hint.last <= hint.cleared || through <= hint.cleared) return
  await transaction(ctx.db, tx => deleteDelivered(tx, device.userNumber, device.deviceId, through))
  hint.cleared = Math.max(hint.cleared, through)
}

/**
 * Cuts a device's queue to its limit if many messages were added since this was last done. A device that is never used
 * again must not fill the disk. Returns how many messages were dropped.
 */
export async function trimLongQueue(ctx: Context, device: ReceivingDevice): Promise<number> {
  const hint = hintOf(ctx, device)
  if (hint.added < trimInterval) return 0
  hint.added = 0
  const dropped = await transaction(ctx.db, tx => trimQueue(tx, device.userNumber, device.deviceId, queueLimit))
  if (dropped > 0) ctx.logger.warn('Messages to a device were dropped', { component: 'to_device', count: dropped })
  return dropped
}
