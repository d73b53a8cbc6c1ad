import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Tx } from '../storage/database.ts'
import { type Device, type DeviceChoice, renameDevice } from '../storage/devices.ts'
import { type AccountOwner } from './account.ts'
import { startOfDay } from './dates.ts'
import { checkDeviceName, endSessionsIn } from './sessions.ts'

export { type Device, deviceOf, devicesOf } from '../storage/devices.ts'

/** A device as its owner sees it: when it was last seen is known to the day, and from where is not known. */
export function deviceAnswer(device: Device): JsonObject {
  return {
    device_id: device.deviceId,
    ...(device.displayName === null ? {} : { display_name: device.displayName }),
    last_seen_ts: startOfDay(device.lastSeenOn),
  }
}

/** Names a device. Throws `notFound` if the user has no such device, `invalidParam` for a name that is too long. */
export async function nameDevice(
  ctx: Context,
  owner: AccountOwner,
  deviceId: DeviceId,
  displayName: string | null,
): Promise<void> {
  if (displayName !== null) checkDeviceName(displayName)
  await ctx.log.transact(async (tx, announce) => {
    if (!(await renameDevice(tx, ctx.numbers.sealer, owner.userNumber, deviceId, displayName)))
      throw notFound('There is no such device')
    // Device names are part of what others see of a user's keys.
    announce({ kind: 'device_list', userId: owner.userId })
  })
}

/** Deletes devices of the user that are there; `useUp` runs first, in the same transaction. */
export async function removeDevices(
  ctx: Context,
  owner: AccountOwner,
  choice: DeviceChoice,
  useUp: (tx: Tx) => Promise<void>,
): Promise<void> {
  await ctx.log.transact(async (tx, announce) => {
    await useUp(tx)
    await endSessionsIn(tx, announce, owner, choice)
  })
}
