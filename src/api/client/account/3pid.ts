import { endpoint } from '../../../http/endpoint.ts'

/** This server keeps no e-mail addresses and no telephone numbers.
 *  https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid */
export const threePids = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/account/3pid',
  auth: 'user',
  limit: 'light',
  handle: () => ({ threepids: [] }),
})
