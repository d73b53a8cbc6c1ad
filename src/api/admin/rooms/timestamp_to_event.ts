import { eventNear } from '../../../admin/room-history.ts'
import { integer, oneOf, roomId, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** Which event, and not what it says. https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-timestamp-to-event-api */
export const getTimestampToEvent = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/timestamp_to_event',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId },
  query: { ts: integer({ min: 0 }), dir: withDefault(oneOf('f', 'b'), 'f') },
  handle: (ctx, { params, query }) => eventNear(ctx, params.roomId, query.ts, query.dir),
})
