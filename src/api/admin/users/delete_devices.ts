import Type from 'typebox'
import { removeDevices } from '../../../accounts/devices.ts'
import { localAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { parseDeviceId } from '../../../protocol/identifiers.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#delete-multiple-devices */
export const postDeleteDevices = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v2/users/:userId/delete_devices',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ devices: Type.Array(Type.String(), { maxItems: 10_000 }) }),
  handle: async (ctx, { params, body }) => {
    const account = await localAccount(ctx, params.userId)
    const only = body.devices.flatMap(each => parseDeviceId(each) ?? [])
    await removeDevices(ctx, account, { only }, () => Promise.resolve())
    return {}
  },
})
