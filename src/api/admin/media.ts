import { deleteOne, mediaAnswer, ownMedia } from '../../admin/media.ts'
import { serverName, string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

const path = '/_synapse/admin/v1/media/:serverName/:mediaId'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#query-a-piece-of-media-by-id */
export const getMedia = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { serverName, mediaId: string },
  handle: async (ctx, { params }) => {
    const media = await ownMedia(ctx, params.serverName, params.mediaId)
    return { media_info: { media_origin: null, user_id: media.userId, ...mediaAnswer(media) } }
  },
})

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#delete-a-specific-local-media */
export const deleteMedia = endpoint({
  method: 'DELETE',
  path,
  auth: 'admin',
  limit: 'light',
  params: { serverName, mediaId: string },
  handle: async (ctx, { params }) => {
    const deleted = await deleteOne(ctx, params.serverName, params.mediaId)
    return { deleted_media: deleted, total: deleted.length }
  },
})
