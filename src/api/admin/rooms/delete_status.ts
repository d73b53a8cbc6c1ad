import { deletionsOf, deletionStatus } from '../../../admin/delete-room.ts'
import { roomId, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#query-by-delete_id */
export const getDeleteStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/delete_status/:deleteId',
  auth: 'admin',
  limit: 'light',
  params: { deleteId: string },
  handle: (ctx, { params }) => deletionStatus(ctx, params.deleteId),
})

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#query-by-room_id */
export const getRoomDeleteStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/:roomId/delete_status',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { params }) => ({ results: await deletionsOf(ctx, params.roomId) }),
})
