import { type Context } from '../../context.ts'
import { deviceListChanges, deviceListChangesIn } from '../../encryption/device-lists.ts'
import { acknowledgeMessages, pendingMessages, trimLongQueue } from '../../encryption/to-device.ts'
import { type User } from '../../http/endpoint.ts'
import { type Source } from '../source.ts'
import { type SyncToken } from '../token.ts'

/** The to-device messages of an answer. */
export interface ToDeviceTexts {
  readonly texts: readonly string[]
  /** The last position that was delivered, when more messages wait; else `null`. */
  readonly upTo: number | null
}

/**
 * Deletes the messages that the device has received: they were delivered before, and its token says that they arrived.
 * https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
export async function acknowledgeToDevice(ctx: Context, caller: User, since: SyncToken): Promise<void> {
  const { userId, userNumber, deviceId } = caller
  if (deviceId === null) return
  await acknowledgeMessages(ctx, { userId, userNumber, deviceId }, since.toDevice ?? since.position)
}

/** The messages that wait for the device, up to a position. They stay until they are acknowledged. */
export async function toDeviceTexts(ctx: Context, caller: User, to: number): Promise<ToDeviceTexts> {
  const { userId, userNumber, deviceId } = caller
  if (deviceId === null) return { texts: [], upTo: null }
  const device = { userId, userNumber, deviceId }
  await trimLongQueue(ctx, device)
  const { messages, more } = await pendingMessages(ctx, device, to)
  return {
    texts: messages.map(
      ({ sender, type, content }) =>
        `{"sender":${JSON.stringify(sender)},"type":${JSON.stringify(type)},"content":${content}}`,
    ),
    upTo: more ? (messages.at(-1)?.position ?? null) : null,
  }
}

/**
 * `device_lists` as JSON text; `null` if there is nothing to tell, and in a first sync: there clients ask.
 * https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 */
export async function deviceListsText(
  ctx: Context,
  caller: User,
  since: SyncToken | null,
  source: Source,
): Promise<string | null> {
  if (!since) return null
  const { changed, left } = source.entries
    ? await deviceListChangesIn(ctx, caller.userId, source.entries)
    : await deviceListChanges(ctx, caller.userId, since.position, source.to)
  return changed.length + left.length === 0 ? null : JSON.stringify({ changed, left })
}
