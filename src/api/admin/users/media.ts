import { deletedAtOnce, deleteOfUser, mediaAnswer } from '../../../admin/media.ts'
import { localAccount } from '../../../admin/local-account.ts'
import { integer, limit, oneOf, optional, userId, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { listMediaOf, mediaOrders } from '../../../storage/admin-media.ts'

const path = '/_synapse/admin/v1/users/:userId/media'

const orderQuery = {
  from: withDefault(integer({ min: 0 }), 0),
  order_by: optional(oneOf(...mediaOrders)),
  dir: optional(oneOf('f', 'b')),
}

type OrderQuery = { readonly [Name in keyof typeof orderQuery]: ReturnType<(typeof orderQuery)[Name]['decode']> }

/** The newest first, unless an order is asked for. */
function pageOf(query: OrderQuery, most: number) {
  const isAsked = query.order_by !== undefined || query.dir !== undefined
  const order = query.order_by ?? ('created_ts' as const)
  return { order, direction: query.dir ?? (isAsked ? 'f' : 'b'), from: query.from, limit: most } as const
}

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-media-uploaded-by-a-user */
export const getUserMedia = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  query: { ...orderQuery, limit: limit(100, 1_000) },
  handle: async (ctx, { params, query }) => {
    const { userNumber } = await localAccount(ctx, params.userId)
    const page = pageOf(query, query.limit)
    const { media, total } = await listMediaOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, page)
    const reached = page.from + media.length
    return {
      media: media.map(mediaAnswer),
      total,
      ...(reached < total && media.length > 0 ? { next_token: reached } : {}),
    }
  },
})

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#delete-media-uploaded-by-a-user */
export const deleteUserMedia = endpoint({
  method: 'DELETE',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  query: { ...orderQuery, limit: limit(100, deletedAtOnce) },
  handle: async (ctx, { params, query }) => {
    const deleted = await deleteOfUser(ctx, params.userId, pageOf(query, query.limit))
    return { deleted_media: deleted, total: deleted.length }
  },
})
