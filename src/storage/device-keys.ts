import { sql } from 'kysely'
import { type Sealer } from '../privacy/seal.ts'
import { openDisplayName } from './devices.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { storedObject } from './stored-object.ts'

/** The identity keys of a device as it uploaded them, without `unsigned`, and what its owner calls it. */
export interface StoredDeviceKeys {
  readonly userNumber: number
  readonly deviceId: DeviceId
  readonly keys: JsonObject
  readonly displayName: string | null
}

interface DeviceKeysRow {
  user_number: number
  device_id: string
  keys: string
  display_name: Buffer | null
}

const columns = 'k.user_number, k.device_id, k.keys, d.display_name'
const joins = 'device_keys k JOIN devices d USING (user_number, device_id)'

const ofUsers = statement<[readonly number[]], DeviceKeysRow>(
  'device_keys_of_users',
  `SELECT ${columns} FROM ${joins} WHERE k.user_number = ANY($1) ORDER BY k.user_number, k.device_id`,
)

const ofDevice = statement<[number, string], DeviceKeysRow>(
  'device_keys_of_device',
  `SELECT ${columns} FROM ${joins} WHERE k.user_number = $1 AND k.device_id = $2`,
)

function deviceKeysOfRows(rows: readonly DeviceKeysRow[], sealer: Sealer): StoredDeviceKeys[] {
  return rows.flatMap(row => {
    const keys = storedObject(row.keys)
    // The column holds nothing but device IDs that were parsed before they were inserted.
    const deviceId = row.device_id as DeviceId
    const displayName = openDisplayName(sealer, row.user_number, row.device_id, row.display_name)
    return keys ? [{ userNumber: row.user_number, deviceId, keys, displayName }] : []
  })
}

/** The keys of all devices of the users that have any, by user and device ID. */
export async function deviceKeysOfUsers(
  reader: Reader,
  sealer: Sealer,
  userNumbers: readonly number[],
): Promise<StoredDeviceKeys[]> {
  return deviceKeysOfRows(await ofUsers.run(reader, [userNumbers]), sealer)
}

/** `null` if the device has no keys, or the user no such device. */
export async function deviceKeysOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  deviceId: DeviceId,
): Promise<StoredDeviceKeys | null> {
  return deviceKeysOfRows(await ofDevice.run(reader, [userNumber, deviceId]), sealer)[0] ?? null
}

/**
 * Keeps the device from being deleted, and its keys from being changed by others, until the transaction ends. False if
 * there is no such device (any more). Messages to the device do not wait for it.
 */
export async function lockDevice(tx: Tx, userNumber: number, deviceId: DeviceId): Promise<boolean> {
  const row = await tx
    .selectFrom('devices')
    .select('device_id')
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Sets a device's identity keys: canonical JSON. True if they are others than before; then the signatures over the old
 * ones are gone. The device must be locked.
 */
export async function storeDeviceKeys(tx: Tx, userNumber: number, deviceId: DeviceId, keys: string): Promise<boolean> {
  const { rows } = await sql`
    INSERT INTO device_keys (user_number, device_id, keys) VALUES (${userNumber}, ${deviceId}, ${keys})
    ON CONFLICT (user_number, device_id) DO UPDATE SET keys = excluded.keys WHERE device_keys.keys <> excluded.keys
    RETURNING device_id`.execute(tx)
  if (rows.length === 0) return false
  await tx
    .deleteFrom('key_signatures')
    .where('target_number', '=', userNumber)
    .where('target_key', '=', deviceId)
    .execute()
  return true
}
