import { requireContentAccess } from '../../../admin/content.ts'
import { eventInContext } from '../../../admin/room-history.ts'
import { eventId, limit, roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#event-context-api */
export const getRoomContext = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/context/:eventId',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId, eventId },
  query: { limit: limit(10, 100) },
  handle: (ctx, { caller, params, query }) => {
    requireContentAccess(ctx)
    return eventInContext(ctx, caller, params.roomId, params.eventId, query.limit)
  },
})
