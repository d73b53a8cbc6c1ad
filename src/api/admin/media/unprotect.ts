import { protectOne } from '../../../admin/media.ts'
import { string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#protecting-media-from-being-quarantined */
export const postUnprotect = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/unprotect/:mediaId',
  auth: 'admin',
  limit: 'light',
  params: { mediaId: string },
  handle: async (ctx, { params }) => {
    await protectOne(ctx, params.mediaId, false)
    return {}
  },
})
