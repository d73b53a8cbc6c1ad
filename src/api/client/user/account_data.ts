import { accountData, requireSelf, setAccountData } from '../../../accounts/account-data.ts'
import { schemas, string, userId } from '../../../http/decoders.ts'
import { endpoint, jsonText } from '../../../http/endpoint.ts'

const params = { userId, type: string }

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype */
export const putAccountData = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/account_data/:type',
  auth: 'user',
  limit: 'light',
  params,
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    requireSelf(caller, params.userId)
    await setAccountData(ctx, caller, null, params.type, body)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype */
export const getAccountData = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/account_data/:type',
  auth: 'user',
  limit: 'light',
  params,
  handle: async (ctx, { caller, params }) => {
    requireSelf(caller, params.userId)
    return jsonText(await accountData(ctx, caller, null, params.type))
  },
})
