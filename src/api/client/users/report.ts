import Type from 'typebox'
import { reasonLimitBytes, reportUser } from '../../../accounts/reports.ts'
import { schemas, userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport */
export const postUserReport = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/users/:userId/report',
  auth: 'user',
  limit: 'report',
  params: { userId },
  body: Type.Object({ reason: schemas.text(reasonLimitBytes) }),
  handle: async (ctx, { caller, params, body }) => {
    await reportUser(ctx, caller, params.userId, body.reason)
    return {}
  },
})
