import { requireContentAccess } from '../../../admin/content.ts'
import { roomMessages } from '../../../admin/room-history.ts'
import { limit, longString, oneOf, optional, roomId, string, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { readEventFilter } from '../../../rooms/member-events.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-messages-api */
export const getRoomMessages = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/messages',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId },
  query: {
    from: optional(string),
    to: optional(string),
    dir: withDefault(oneOf('f', 'b'), 'f'),
    limit: limit(10, 100),
    filter: optional(longString),
  },
  handle: (ctx, { caller, params, query }) => {
    requireContentAccess(ctx)
    const { from, to, dir: direction, limit: most } = query
    const filter = readEventFilter(query.filter)
    return roomMessages(ctx, caller, params.roomId, { from, to, direction, limit: most, filter })
  },
})
