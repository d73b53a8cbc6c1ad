import Type from 'typebox'
import { deactivate } from '../../accounts/account.ts'
import { localAccount } from '../../admin/local-account.ts'
import { userId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#deactivate-account */
export const postDeactivate = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/deactivate/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ erase: Type.Optional(Type.Boolean()) }),
  handle: async (ctx, { params, body }) => {
    await deactivate(ctx, await localAccount(ctx, params.userId), body.erase === true)
    // There are no third-party identifiers here, so there is none to unbind.
    return { id_server_unbind_result: 'success' }
  },
})
