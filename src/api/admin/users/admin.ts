import Type from 'typebox'
import { localAccount } from '../../../admin/local-account.ts'
import { setAdmin } from '../../../admin/users.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const path = '/_synapse/admin/v1/users/:userId/admin'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#get-whether-a-user-is-a-server-administrator-or-not */
export const getUserAdmin = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => ({ admin: (await localAccount(ctx, params.userId)).isAdmin }),
})

/** Gives or takes the rights of an administrator. */
export const putUserAdmin = endpoint({
  method: 'PUT',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ admin: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await setAdmin(ctx, caller, params.userId, body.admin)
    return {}
  },
})
