import { deletedAtOnce, deleteOfUser, mediaAnswer } from '../../../admin/media.ts'
import { localAccount } from '../../../admin/local-account.ts'
import { integer, limit, oneOf, userId, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { listMediaOf, mediaOrders } from '../../../storage/admin-media.ts'

const path = '/_synapse/admin/v1/users/:userId/media'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-media-uploaded-by-a-user */
export const getUserMedia = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { userId },
  query: {
    from: withDefault(integer({ min: 0 }), 0),
    limit: limit(100, 1_000),
    order_by: withDefault(oneOf(...mediaOrders), 'created_ts'),
    dir: withDefault(oneOf('f', 'b'), 'b'),
  },
  handle: async (ctx, { params, query }) => {
    const { userNumber } = await localAccount(ctx, params.userId)
    const { from, limit: most, order_by: order, dir: direction } = query
    const { media, total } = await listMediaOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, {
      order,
      direction,
      from,
      limit: most,
    })
    const reached = from + media.length
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
  query: { limit: limit(100, deletedAtOnce) },
  handle: async (ctx, { params, query }) => {
    const deleted = await deleteOfUser(ctx, params.userId, query.limit)
    return { deleted_media: deleted, total: deleted.length }
  },
})
