import Type from 'typebox'
import { requireContentAccess } from '../../../admin/content.ts'
import { loginAs } from '../../../admin/users.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** Becomes somebody else, where the operator allows it. https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#login-as-a-user */
export const postUserLogin = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/users/:userId/login',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ valid_until_ms: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])) }),
  handle: async (ctx, { caller, params, body }) => {
    requireContentAccess(ctx)
    return { access_token: await loginAs(ctx, caller, params.userId, body.valid_until_ms ?? null) }
  },
})
