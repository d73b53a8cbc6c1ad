import { deleteBefore } from '../../../admin/media.ts'
import { boolean, integer, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#delete-local-media-by-date-or-size */
export const postMediaDelete = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/delete',
  auth: 'admin',
  limit: 'light',
  query: {
    before_ts: integer({ min: 0 }),
    size_gt: withDefault(integer({ min: 0 }), 0),
    keep_profiles: withDefault(boolean, true),
  },
  handle: async (ctx, { query }) => {
    const deleted = await deleteBefore(ctx, {
      beforeTs: query.before_ts,
      largerThan: query.size_gt,
      keepsProfiles: query.keep_profiles,
    })
    return { deleted_media: deleted, total: deleted.length }
  },
})
