import { endSessions } from '../../accounts/sessions.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout */
export const logout = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/logout',
  auth: 'guest',
  evenIfLocked: true,
  limit: 'light',
  handle: async (ctx, { caller }) => {
    // An application service that acts without a device has no session to end.
    if (caller.deviceId !== null) await endSessions(ctx, caller, { only: [caller.deviceId] })
    return {}
  },
})
