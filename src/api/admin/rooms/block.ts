import Type from 'typebox'
import { blocker, setBlocked } from '../../../admin/room-access.ts'
import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const path = '/_synapse/admin/v1/rooms/:roomId/block'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#get-block-status */
export const getRoomBlock = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { params }) => {
    const userId = await blocker(ctx, params.roomId)
    return userId === null ? { block: false } : { block: true, user_id: userId }
  },
})

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#block-room-api */
export const putRoomBlock = endpoint({
  method: 'PUT',
  path,
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  body: Type.Object({ block: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await setBlocked(ctx, caller, params.roomId, body.block)
    return { block: body.block }
  },
})
