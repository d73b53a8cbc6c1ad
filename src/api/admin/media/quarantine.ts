import { quarantineOne } from '../../../admin/media.ts'
import { serverName, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#quarantine-media */
export const postQuarantine = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/quarantine/:serverName/:mediaId',
  auth: 'admin',
  limit: 'light',
  params: { serverName, mediaId: string },
  handle: async (ctx, { params }) => {
    await quarantineOne(ctx, params.serverName, params.mediaId, true)
    return {}
  },
})
