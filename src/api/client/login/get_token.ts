import { passwordFlows, requireInteractiveAuth } from '../../../accounts/interactive-auth.ts'
import { createLoginToken, loginTokenLifetimeMs } from '../../../accounts/login.ts'
import { unrecognized } from '../../../errors.ts'
import { schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token */
export const getLoginToken = endpoint({
  method: 'POST',
  path: '/_matrix/client/v1/login/get_token',
  auth: 'user',
  limit: 'login',
  body: schemas.object,
  handle: async (ctx, { caller, body, addressKey }) => {
    if (!ctx.config.login.token.enabled) throw unrecognized()
    const proof = await requireInteractiveAuth(ctx, {
      operation: 'POST /login/get_token',
      user: caller,
      body,
      flows: passwordFlows,
      addressKey,
    })
    return { login_token: await createLoginToken(ctx, caller, proof), expires_in_ms: loginTokenLifetimeMs }
  },
})
