import { redactionStatus } from '../../../admin/redact-user.ts'
import { string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#check-the-status-of-a-redaction-process */
export const getUserRedactStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/user/redact_status/:redactId',
  auth: 'admin',
  limit: 'light',
  params: { redactId: string },
  handle: (ctx, { params }) => redactionStatus(ctx, params.redactId),
})
