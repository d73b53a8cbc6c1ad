import Type from 'typebox'
import { setFlags } from '../../../accounts/account.ts'
import { localAccount, otherAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const path = '/_matrix/client/v1/admin/suspend/:userId'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminsuspenduserid */
export const getSuspend = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => ({ suspended: (await localAccount(ctx, params.userId)).isSuspended }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid */
export const putSuspend = endpoint({
  method: 'PUT',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ suspended: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await setFlags(ctx, await otherAccount(ctx, caller, params.userId), { isSuspended: body.suspended })
    return { suspended: body.suspended }
  },
})
