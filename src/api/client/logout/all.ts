import { endSessions } from '../../../accounts/sessions.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall */
export const logoutAll = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/logout/all',
  auth: 'guest',
  evenIfLocked: true,
  limit: 'light',
  handle: async (ctx, { caller }) => {
    await endSessions(ctx, caller, { allExcept: null })
    return {}
  },
})
