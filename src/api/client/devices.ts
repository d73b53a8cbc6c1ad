import Type from 'typebox'
import { deviceAnswer, deviceOf, devicesOf, nameDevice, removeDevices } from '../../accounts/devices.ts'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../accounts/interactive-auth.ts'
import { notFound } from '../../errors.ts'
import { deviceId, schemas } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices */
export const getDevices = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/devices',
  auth: 'guest',
  limit: 'light',
  handle: async (ctx, { caller }) => {
    const devices = await devicesOf(ctx.db.kysely, ctx.numbers.sealer, caller.userNumber)
    return { devices: devices.map(deviceAnswer) }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid */
export const getDevice = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'guest',
  limit: 'light',
  params: { deviceId },
  handle: async (ctx, { caller, params }) => {
    const device = await deviceOf(ctx.db.kysely, ctx.numbers.sealer, caller.userNumber, params.deviceId)
    if (!device) throw notFound('There is no such device')
    return deviceAnswer(device)
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid */
export const putDevice = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'guest',
  limit: 'light',
  params: { deviceId },
  body: Type.Object({ display_name: Type.Optional(Type.String()) }),
  handle: async (ctx, { caller, params, body }) => {
    const device = await deviceOf(ctx.db.kysely, ctx.numbers.sealer, caller.userNumber, params.deviceId)
    if (!device) throw notFound('There is no such device')
    if (body.display_name !== undefined) await nameDevice(ctx, caller, params.deviceId, body.display_name)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid */
export const deleteDevice = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'user',
  limit: 'light',
  params: { deviceId },
  body: schemas.object,
  handle: async (ctx, { caller, params, body, addressKey }) => {
    const proof = await requireInteractiveAuth(ctx, {
      operation: 'DELETE /devices',
      user: caller,
      // Proof for one device is no proof for another.
      body: { ...body, device_id: params.deviceId },
      flows: passwordFlows,
      addressKey,
    })
    await removeDevices(ctx, caller, { only: [params.deviceId] }, tx => useProof(ctx, tx, proof))
    return {}
  },
})
