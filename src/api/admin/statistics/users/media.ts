import { integer, limit, oneOf, optional, string, withDefault } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import { mediaUse, mediaUseOrders } from '../../../../storage/admin-media.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/statistics.html#users-media-usage-statistics */
export const getMediaStatistics = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/users/media',
  auth: 'admin',
  limit: 'heavy',
  query: {
    from: withDefault(integer({ min: 0 }), 0),
    limit: limit(100, 1_000),
    order_by: withDefault(oneOf(...mediaUseOrders), 'user_id'),
    dir: withDefault(oneOf('f', 'b'), 'f'),
    search_term: optional(string),
    from_ts: optional(integer({ min: 0 })),
    until_ts: optional(integer({ min: 0 })),
  },
  handle: async (ctx, { query }) => {
    const { from, limit: most, order_by: order, dir: direction } = query
    const wanted = {
      searchTerm: query.search_term ?? null,
      fromTs: query.from_ts ?? null,
      untilTs: query.until_ts ?? null,
    }
    const { users, total } = await mediaUse(ctx.db.kysely, ctx.numbers.sealer, wanted, {
      order,
      direction,
      from,
      limit: most,
    })
    const reached = from + users.length
    return {
      users: users.map(user => ({
        user_id: user.userId,
        displayname: user.displayName,
        media_count: user.count,
        media_length: user.bytes,
      })),
      total,
      ...(reached < total && users.length > 0 ? { next_token: reached } : {}),
    }
  },
})
