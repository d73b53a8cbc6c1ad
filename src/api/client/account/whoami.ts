import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami */
export const whoami = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/account/whoami',
  auth: 'guest',
  limit: 'light',
  handle: (_ctx, { caller }) => ({
    user_id: caller.userId,
    is_guest: caller.isGuest,
    ...(caller.deviceId === null ? {} : { device_id: caller.deviceId }),
  }),
})
