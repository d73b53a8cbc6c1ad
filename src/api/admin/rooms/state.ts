import { requireContentAccess } from '../../../admin/content.ts'
import { knownRoom } from '../../../admin/room-access.ts'
import { optional, roomId, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { clientEvents } from '../../../rooms/client-events.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-state-api */
export const getRoomState = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/state',
  auth: 'admin',
  limit: 'heavy',
  params: { roomId },
  query: { type: optional(string) },
  handle: async (ctx, { caller, params, query }) => {
    requireContentAccess(ctx)
    const { state } = await knownRoom(ctx, params.roomId)
    const wanted = [...state.values()].filter(({ event }) => query.type === undefined || event.type === query.type)
    return { state: await clientEvents(ctx, caller, wanted, { withRoomId: true }) }
  },
})
