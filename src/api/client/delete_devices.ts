import Type from 'typebox'
import { removeDevices } from '../../accounts/devices.ts'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../accounts/interactive-auth.ts'
import { endpoint } from '../../http/endpoint.ts'
import { type DeviceId, parseDeviceId } from '../../protocol/identifiers.ts'

/** Devices that one request may delete. */
const devicesLimit = 1_000

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices */
export const deleteDevices = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/delete_devices',
  auth: 'user',
  limit: 'light',
  body: Type.Object({ devices: Type.Array(Type.String(), { maxItems: devicesLimit }) }),
  handle: async (ctx, { caller, body, addressKey }) => {
    const operation = 'POST /delete_devices'
    const proof = await requireInteractiveAuth(ctx, { operation, user: caller, body, flows: passwordFlows, addressKey })
    // What cannot be a device's ID is no device of theirs: like one that was deleted before.
    const only = body.devices.map(parseDeviceId).filter((deviceId): deviceId is DeviceId => deviceId !== null)
    await removeDevices(ctx, caller, { only }, tx => useProof(ctx, tx, proof))
    return {}
  },
})
