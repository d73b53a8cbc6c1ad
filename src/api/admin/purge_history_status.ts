import { purgeStatus } from '../../admin/purge-history.ts'
import { string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/purge_history_api.html#purge-status-query */
export const getPurgeHistoryStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/purge_history_status/:purgeId',
  auth: 'admin',
  limit: 'light',
  params: { purgeId: string },
  handle: (ctx, { params }) => purgeStatus(ctx, params.purgeId),
})
