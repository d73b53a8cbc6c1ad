import { localAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** This server pushes to nobody yet, so nobody has a pusher. https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-all-pushers */
export const getUserPushers = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/pushers',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => {
    await localAccount(ctx, params.userId)
    return { pushers: [], total: 0 }
  },
})
