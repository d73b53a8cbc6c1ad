import { quarantineOfUser } from '../../../../admin/media.ts'
import { userId } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#quarantining-all-media-of-a-user */
export const postUserQuarantine = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/user/:userId/media/quarantine',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => ({ num_quarantined: await quarantineOfUser(ctx, params.userId) }),
})
