import Type from 'typebox'
import { startOfDay } from '../../../accounts/dates.ts'
import { type Device, deviceOf, devicesOf, nameDevice, removeDevices } from '../../../accounts/devices.ts'
import { localAccount } from '../../../admin/local-account.ts'
import { makeDevice } from '../../../admin/users.ts'
import { invalidParam, notFound } from '../../../errors.ts'
import { deviceId, userId } from '../../../http/decoders.ts'
import { endpoint, jsonReply } from '../../../http/endpoint.ts'
import { parseDeviceId, type UserId } from '../../../protocol/identifiers.ts'

const path = '/_synapse/admin/v2/users/:userId/devices'
const nothing = () => Promise.resolve()

/** Where from and with what a device is used is not known here. */
function answer(owner: UserId, device: Device) {
  return {
    device_id: device.deviceId,
    display_name: device.displayName,
    last_seen_ip: null,
    last_seen_user_agent: null,
    last_seen_ts: startOfDay(device.lastSeenOn),
    user_id: owner,
    dehydrated: false,
  }
}

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-all-devices */
export const getUserDevices = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => {
    const account = await localAccount(ctx, params.userId)
    const devices = await devicesOf(ctx.db.kysely, ctx.numbers.sealer, account.userNumber)
    return { devices: devices.map(device => answer(params.userId, device)), total: devices.length }
  },
})

/** Makes a device. */
export const postUserDevice = endpoint({
  method: 'POST',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ device_id: Type.String() }),
  handle: async (ctx, { params, body }) => {
    const id = parseDeviceId(body.device_id)
    if (id === null) throw invalidParam('device_id is not valid')
    await makeDevice(ctx, params.userId, id, null)
    return jsonReply(201, {})
  },
})

/** One device. */
export const getUserDevice = endpoint({
  method: 'GET',
  path: `${path}/:deviceId`,
  auth: 'admin',
  limit: 'light',
  params: { userId, deviceId },
  handle: async (ctx, { params }) => {
    const account = await localAccount(ctx, params.userId)
    const device = await deviceOf(ctx.db.kysely, ctx.numbers.sealer, account.userNumber, params.deviceId)
    if (!device) throw notFound('There is no such device')
    return answer(params.userId, device)
  },
})

/** Names a device. */
export const putUserDevice = endpoint({
  method: 'PUT',
  path: `${path}/:deviceId`,
  auth: 'admin',
  limit: 'light',
  params: { userId, deviceId },
  body: Type.Object({ display_name: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
  handle: async (ctx, { params, body }) => {
    const account = await localAccount(ctx, params.userId)
    if (body.display_name !== undefined) await nameDevice(ctx, account, params.deviceId, body.display_name)
    return {}
  },
})

/** Signs a device out. Nothing happens where there is none of that name. */
export const deleteUserDevice = endpoint({
  method: 'DELETE',
  path: `${path}/:deviceId`,
  auth: 'admin',
  limit: 'light',
  params: { userId, deviceId },
  handle: async (ctx, { params }) => {
    const account = await localAccount(ctx, params.userId)
    await removeDevices(ctx, account, { only: [params.deviceId] }, nothing)
    return {}
  },
})
