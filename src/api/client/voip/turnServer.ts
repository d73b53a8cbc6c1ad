import { turnCredentials } from '../../../accounts/turn.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver */
export const turnServer = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/voip/turnServer',
  auth: 'guest',
  limit: 'light',
  handle: (ctx, { caller }) => turnCredentials(ctx, caller),
})
