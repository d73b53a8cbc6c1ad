import { keepFilter, keptFilter } from '../../../accounts/filters.ts'
import { requireSelf } from '../../../accounts/account-data.ts'
import { schemas, string, userId } from '../../../http/decoders.ts'
import { endpoint, jsonText } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
export const postFilter = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/user/:userId/filter',
  auth: 'guest',
  limit: 'light',
  params: { userId },
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    requireSelf(caller, params.userId)
    return { filter_id: await keepFilter(ctx, caller, body) }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid */
export const getFilter = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/filter/:filterId',
  auth: 'guest',
  limit: 'light',
  params: { userId, filterId: string },
  handle: async (ctx, { caller, params }) => {
    requireSelf(caller, params.userId)
    return jsonText(await keptFilter(ctx, caller, params.filterId))
  },
})
