import { type Context, isLocal } from '../context.ts'
import { invalidParam, tooLarge } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { answeredBefore } from '../storage/events.ts'
import { type ToDeviceEntry } from '../storage/log-entries.ts'
import { deviceIdsOfUsers } from '../storage/to-device.ts'
import { rememberRequest, requestHash } from '../storage/transactions.ts'
import { isKeyName } from './key-objects.ts'
import { knownUsers } from './known-users.ts'
import { trimLongQueue } from './to-device.ts'

/** The content of one message, in bytes of JSON: what another server could take in one transaction. */
const contentLimitBytes = 64 * 1024
/** How many messages one request may make, `*` counted as all the devices that it stands for. */
const messagesLimit = 10_000
/** What those messages may hold together, in bytes. */
const totalLimitBytes = 16 * 1024 * 1024

/** Messages by user and by device; `*` stands for all devices of the user. */
export type DeviceMessages = ReadonlyMap<UserId, ReadonlyMap<DeviceId | '*', JsonObject>>

/**
 * Reads `messages` of a request. Throws `invalidParam` for a name that is no user ID or a content that is no object, and
 * `tooLarge` for a content of more than 64 KiB; devices that cannot exist are left out.
 */
export function deviceMessages(messages: JsonObject): DeviceMessages {
  const byUser = new Map<UserId, Map<DeviceId | '*', JsonObject>>()
  for (const [name, devices] of Object.entries(messages)) {
    const userId = parseUserId(name)
    if (userId === null || !isJsonObject(devices)) throw invalidParam('messages must map user IDs to devices')
    const byDevice = new Map<DeviceId | '*', JsonObject>()
    for (const [device, content] of Object.entries(devices)) {
      if (!isJsonObject(content)) throw invalidParam('The content of a message must be an object')
      if (Buffer.byteLength(JSON.stringify(content)) > contentLimitBytes) throw tooLarge('A message is too large')
      const deviceId = device === '*' ? '*' : parseDeviceId(device)
      if (deviceId !== null) byDevice.set(deviceId, content)
    }
    byUser.set(userId, byDevice)
  }
  return byUser
}

/**
 * Sends messages of one type from the caller to devices, once for each transaction ID. Messages to devices that do not
 * exist vanish. Throws `invalidParam` for a type that cannot be one and `tooLarge` for too many messages.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid
 */
export async function sendToDevice(
  ctx: Context,
  caller: User,
  type: string,
  transactionId: string,
  messages: DeviceMessages,
): Promise<void> {
  if (!isKeyName(type)) throw invalidParam('eventType is not valid')
  const hash = requestHash([caller.userId, caller.deviceId, 'sendToDevice', type, transactionId])
  if ((await answeredBefore(ctx.db.kysely, hash)) !== undefined) return
  const addressed = await addressedMessages(ctx, caller.userId, type, messages)
  const isNew = await ctx.log.transact(async (tx, announce) => {
    if (!(await rememberRequest(tx, hash))) return false
    for (const message of addressed.entries) announce(message)
    return true
  })
  if (isNew) await addressed.trim()
}

/**
 * Delivers messages that came from another server to the devices of this server's users; messages to anybody else, and to
 * devices that do not exist, vanish. The caller has made sure that the sender belongs to that server. Returns the position
 * of the last. https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
 */
export async function receiveToDevice(
  ctx: Context,
  sender: UserId,
  type: string,
  messages: DeviceMessages,
): Promise<number> {
  if (!isKeyName(type)) throw invalidParam('The type is not valid')
  const addressed = await addressedMessages(ctx, sender, type, messages)
  const position = await ctx.log.post(addressed.entries)
  await addressed.trim()
  return position
}

/** The messages to devices that exist, and what is to be done when they are sent. */
async function addressedMessages(
  ctx: Context,
  sender: UserId,
  type: string,
  messages: DeviceMessages,
): Promise<{ readonly entries: readonly ToDeviceEntry[]; readonly trim: () => Promise<void> }> {
  const local = [...messages.keys()].filter(userId => isLocal(ctx, userId))
  const users = await knownUsers(ctx, local)
  const existing = await deviceIdsOfUsers(ctx.db.kysely, [...users.keys()])
  const entries: ToDeviceEntry[] = []
  const devices: { userId: UserId; userNumber: number; deviceId: DeviceId }[] = []
  let totalBytes = 0
  for (const [userNumber, userId] of users) {
    const byDevice = messages.get(userId)
    for (const deviceId of existing.get(userNumber) ?? []) {
      // A device that is named gets what is meant for it alone.
      const content = byDevice?.get(deviceId) ?? byDevice?.get('*')
      if (content === undefined) continue
      const text = JSON.stringify(content)
      totalBytes += Buffer.byteLength(text)
      entries.push({ kind: 'to_device', userId, deviceId, sender, type, content: text })
      devices.push({ userId, userNumber, deviceId })
      if (entries.length > messagesLimit || totalBytes > totalLimitBytes) throw tooLarge('Too many messages')
    }
  }
  return {
    entries,
    trim: async () => {
      for (const device of devices) await trimLongQueue(ctx, device)
    },
  }
}
