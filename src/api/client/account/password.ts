import Type from 'typebox'
import { changePassword } from '../../../accounts/account.ts'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../../accounts/interactive-auth.ts'
import { requireUser } from '../../../accounts/operations.ts'
import { checkNewPassword } from '../../../accounts/passwords.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword */
export const accountPassword = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/password',
  auth: 'optional',
  limit: 'light',
  body: Type.Object({ new_password: Type.String(), logout_devices: Type.Optional(Type.Boolean()) }),
  handle: async (ctx, { caller, body, addressKey }) => {
    const user = requireUser(caller)
    checkNewPassword(body.new_password)
    const operation = 'POST /account/password'
    const proof = await requireInteractiveAuth(ctx, { operation, user, body, flows: passwordFlows, addressKey })
    const change = {
      password: body.new_password,
      logOutOthers: body.logout_devices ?? true,
      keptDevice: user.deviceId,
    }
    await changePassword(ctx, user, change, tx => useProof(ctx, tx, proof))
    return {}
  },
})
