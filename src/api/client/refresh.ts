import Type from 'typebox'
import { refreshSession } from '../../accounts/sessions.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh */
export const refresh = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/refresh',
  auth: 'none',
  limit: 'anonymous',
  body: Type.Object({ refresh_token: Type.String() }),
  handle: async (ctx, { body }) => {
    const tokens = await refreshSession(ctx, body.refresh_token)
    return {
      access_token: tokens.accessToken,
      refresh_token: tokens.refreshToken,
      expires_in_ms: tokens.expiresInMs,
    }
  },
})
