import { sql } from 'kysely'
import { type Sealer } from '../privacy/seal.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'

export interface Device {
  readonly deviceId: DeviceId
  readonly displayName: string | null
  /** YYYY-MM-DD. */
  readonly lastSeenOn: string
}

/** What the name of a device is sealed under. */
export const deviceSealName = (userNumber: number, deviceId: string): string => `device ${userNumber} ${deviceId}`

/** What a device is called; `null` where it has no name, or that died with the account's key. */
export function openDisplayName(
  sealer: Sealer,
  userNumber: number,
  deviceId: string,
  sealed: Buffer | null,
): string | null {
  return sealed && sealer.open(sealed, deviceSealName(userNumber, deviceId))
}

function deviceOfRow(
  sealer: Sealer,
  row: { user_number: number; device_id: string; display_name: Buffer | null; last_seen_on: string },
): Device {
  return {
    // The column holds nothing but device IDs that were parsed before they were inserted.
    deviceId: row.device_id as DeviceId,
    displayName: openDisplayName(sealer, row.user_number, row.device_id, row.display_name),
    lastSeenOn: row.last_seen_on,
  }
}

function sealedName(sealer: Sealer, userNumber: number, deviceId: string, displayName: string | null): Buffer | null {
  return displayName === null
    ? null
    : sealer.seal(displayName, sealer.accountPlace(userNumber), deviceSealName(userNumber, deviceId))
}

/** All devices of a user, in the order of their IDs. */
export async function devicesOf(reader: Reader, sealer: Sealer, userNumber: number): Promise<Device[]> {
  const rows = await reader
    .selectFrom('devices')
    .select(['user_number', 'device_id', 'display_name', 'last_seen_on'])
    .where('user_number', '=', userNumber)
    .orderBy('device_id')
    .execute()
  return rows.map(row => deviceOfRow(sealer, row))
}

/** `null` if the user has no such device. */
export async function deviceOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  deviceId: DeviceId,
): Promise<Device | null> {
  const row = await reader
    .selectFrom('devices')
    .select(['user_number', 'device_id', 'display_name', 'last_seen_on'])
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return row ? deviceOfRow(sealer, row) : null
}

/** True if a cross-signing key of the user's has this ID: a device may not have it then. */
export async function isCrossSigningKeyId(reader: Reader, userNumber: number, keyId: string): Promise<boolean> {
  // What a key's ID looks like; nothing else can be in the keys, which are JSON.
  if (!/^[A-Za-z0-9+/_-]{1,255}$/.test(keyId)) return false
  const row = await reader
    .selectFrom('cross_signing_keys')
    .select('usage')
    .where('user_number', '=', userNumber)
    .where(sql<boolean>`strpos(keys, ${`"ed25519:${keyId}"`}) > 0`)
    .executeTakeFirst()
  return row !== undefined
}

/** Makes the device; one that is there already keeps its name and is seen. */
export async function insertDevice(
  tx: Tx,
  sealer: Sealer,
  userNumber: number,
  device: { readonly deviceId: DeviceId; readonly displayName: string | null; readonly lastSeenOn: string },
): Promise<void> {
  await tx
    .insertInto('devices')
    .values({
      user_number: userNumber,
      device_id: device.deviceId,
      display_name: sealedName(sealer, userNumber, device.deviceId, device.displayName),
      last_seen_on: device.lastSeenOn,
    })
    .onConflict(conflict =>
      conflict.columns(['user_number', 'device_id']).doUpdateSet({ last_seen_on: device.lastSeenOn }),
    )
    .execute()
}

/** False if the user has no such device. */
export async function renameDevice(
  tx: Tx,
  sealer: Sealer,
  userNumber: number,
  deviceId: DeviceId,
  displayName: string | null,
): Promise<boolean> {
  const result = await tx
    .updateTable('devices')
    .set({ display_name: sealedName(sealer, userNumber, deviceId, displayName) })
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Which of a user's devices: those listed, or all but one, or all. */
export type DeviceChoice = { readonly only: readonly DeviceId[] } | { readonly allExcept: DeviceId | null }

/**
 * Deletes devices with their tokens, keys and undelivered messages, and the signatures that were made over their keys.
 * Returns those that were there.
 */
export async function deleteDevices(tx: Tx, userNumber: number, choice: DeviceChoice): Promise<DeviceId[]> {
  let query = tx.deleteFrom('devices').where('user_number', '=', userNumber)
  if ('only' in choice) query = query.where(sql<boolean>`device_id = ANY(${[...choice.only]}::text[])`)
  else if (choice.allExcept !== null) query = query.where('device_id', '<>', choice.allExcept)
  const rows = await query.returning('device_id').execute()
  // As in `deviceOfRow`.
  const deleted = rows.map(row => row.device_id as DeviceId)
  if (deleted.length > 0) {
    await tx
      .deleteFrom('key_signatures')
      .where('target_number', '=', userNumber)
      .where(sql<boolean>`target_key = ANY(${deleted}::text[])`)
      .execute()
  }
  return deleted
}

/** Notes the day on which a device was last used, at most forwards. */
export async function touchDevice(tx: Tx, userNumber: number, deviceId: DeviceId, seenOn: string): Promise<void> {
  await tx
    .updateTable('devices')
    .set({ last_seen_on: seenOn })
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .where('last_seen_on', '<', seenOn)
    .execute()
}
