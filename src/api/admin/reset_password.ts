import Type from 'typebox'
import { resetPassword } from '../../admin/users.ts'
import { userId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#reset-password */
export const postResetPassword = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/reset_password/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ new_password: Type.String(), logout_devices: Type.Optional(Type.Boolean()) }),
  handle: async (ctx, { params, body }) => {
    await resetPassword(ctx, params.userId, body.new_password, body.logout_devices !== false)
    return {}
  },
})
