import { sql } from 'kysely'
import { type Sealer } from '../privacy/seal.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { type Reader, statement, type Tx } from './database.ts'

/** A message that waits for a device. */
export interface PendingMessage {
  /** Of the log; messages are delivered in this order. */
  readonly position: number
  readonly senderNumber: number
  readonly type: string
  /** JSON text of the content. */
  readonly content: string
}

/** What messages to a device are sealed under. */
export const toDeviceName = (userNumber: number, deviceId: string): string => `to_device ${userNumber} ${deviceId}`

const pending = statement<
  [number, string, number, number],
  { position: number; sender_number: number; type: string; content: Buffer }
>(
  'to_device_pending',
  `SELECT position, sender_number, type, content FROM to_device_messages
   WHERE user_number = $1 AND device_id = $2 AND position <= $3 ORDER BY position LIMIT $4`,
)

/** The first messages that wait for a device, at positions up to and including `upTo`, oldest first. */
export async function pendingFor(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  deviceId: DeviceId,
  upTo: number,
  limit: number,
): Promise<PendingMessage[]> {
  const rows = await pending.run(reader, [userNumber, deviceId, upTo, limit])
  const name = toDeviceName(userNumber, deviceId)
  return rows.flatMap(row => {
    const content = sealer.open(row.content, name)
    return content === null
      ? []
      : [{ position: row.position, senderNumber: row.sender_number, type: row.type, content }]
  })
}

/** Deletes what a device has received: its messages at positions up to and including `through`. */
export async function deleteDelivered(tx: Tx, userNumber: number, deviceId: DeviceId, through: number): Promise<void> {
  await tx
    .deleteFrom('to_device_messages')
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .where('position', '<=', through)
    .execute()
}

const devicesOfUsers = statement<[readonly number[]], { user_number: number; device_id: string }>(
  'to_device_devices',
  'SELECT user_number, device_id FROM devices WHERE user_number = ANY($1) ORDER BY user_number, device_id',
)

/** The devices of each of the users that have any. */
export async function deviceIdsOfUsers(
  reader: Reader,
  userNumbers: readonly number[],
): Promise<ReadonlyMap<number, readonly DeviceId[]>> {
  const found = new Map<number, DeviceId[]>()
  for (const row of await devicesOfUsers.run(reader, [userNumbers])) {
    const ofUser = found.get(row.user_number) ?? []
    // The column holds nothing but device IDs that were parsed before they were inserted.
    ofUser.push(row.device_id as DeviceId)
    found.set(row.user_number, ofUser)
  }
  return found
}

/**
 * Cuts a device's queue down to `limit` messages by deleting the oldest of those who sent most, so that nobody can push out
 * what others sent. Returns how many were deleted.
 */
export async function trimQueue(tx: Tx, userNumber: number, deviceId: DeviceId, limit: number): Promise<number> {
  const { rows } = await sql<{ position: number }>`
    DELETE FROM to_device_messages WHERE position IN (
      -- Of each sender the newest come first, and of all senders the newest before the second newest.
      SELECT position FROM (
        SELECT position, row_number() OVER (PARTITION BY sender_number ORDER BY position DESC) AS place
        FROM to_device_messages WHERE user_number = ${userNumber} AND device_id = ${deviceId}) AS ranked
      ORDER BY place, position DESC OFFSET ${limit})
    RETURNING position`.execute(tx)
  return rows.length
}
