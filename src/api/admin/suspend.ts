import Type from 'typebox'
import { setFlags } from '../../accounts/account.ts'
import { otherAccount } from '../../admin/local-account.ts'
import { userId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#suspendunsuspend-account */
export const putAdminSuspend = endpoint({
  method: 'PUT',
  path: '/_synapse/admin/v1/suspend/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ suspend: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await setFlags(ctx, await otherAccount(ctx, caller, params.userId), { isSuspended: body.suspend })
    return { [`user_${params.userId}_suspended`]: body.suspend }
  },
})
