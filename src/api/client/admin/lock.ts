import Type from 'typebox'
import { setFlags } from '../../../accounts/account.ts'
import { localAccount, otherAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const path = '/_matrix/client/v1/admin/lock/:userId'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminlockuserid */
export const getLock = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => ({ locked: (await localAccount(ctx, params.userId)).isLocked }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminlockuserid */
export const putLock = endpoint({
  method: 'PUT',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ locked: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await setFlags(ctx, await otherAccount(ctx, caller, params.userId), { isLocked: body.locked })
    return { locked: body.locked }
  },
})
