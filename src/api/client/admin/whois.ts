import { whois } from '../../../admin/whois.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid */
export const getWhois = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/admin/whois/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: (ctx, { params }) => whois(ctx, params.userId),
})
