import { hierarchy } from '../../../admin/hierarchy.ts'
import { integer, limit, optional, roomId, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-hierarchy-endpoint */
export const getRoomHierarchy = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/hierarchy',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId },
  query: { from: optional(string), limit: limit(50, 100), max_depth: optional(integer({ min: 0 })) },
  handle: (ctx, { params, query }) => {
    const { from, limit: most, max_depth: maxDepth } = query
    return hierarchy(ctx, params.roomId, { from, limit: most, maxDepth: maxDepth ?? null })
  },
})
