import { quarantineOfRoom } from '../../../../admin/media.ts'
import { roomId } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#quarantining-media-in-a-room */
export const postRoomQuarantine = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/room/:roomId/media/quarantine',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { params }) => ({ num_quarantined: await quarantineOfRoom(ctx, params.roomId) }),
})
