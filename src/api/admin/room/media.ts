import { mediaInRoom } from '../../../admin/media.ts'
import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** What the messages of a room show; of encrypted ones nobody here knows. https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#list-all-media-in-a-room */
export const getRoomMedia = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/room/:roomId/media',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId },
  // Of other servers' media nothing is kept.
  handle: async (ctx, { params }) => ({ local: await mediaInRoom(ctx, params.roomId), remote: [] }),
})
