import { integer } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Of other servers' media nothing is kept, so there is nothing to delete. https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#purge-remote-media-api */
export const postPurgeMediaCache = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/purge_media_cache',
  auth: 'admin',
  limit: 'light',
  query: { before_ts: integer({ min: 0 }) },
  handle: () => ({ deleted: 0 }),
})
