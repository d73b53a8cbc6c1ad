import { whois } from '../../admin/whois.ts'
import { userId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#query-current-sessions-for-a-user */
export const getAdminWhois = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/whois/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: (ctx, { params }) => whois(ctx, params.userId),
})
