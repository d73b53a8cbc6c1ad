import Type from 'typebox'
import { makeRoomAdmin } from '../../../admin/room-access.ts'
import { roomIdOrAlias, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#make-room-admin-api */
export const postMakeRoomAdmin = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/rooms/:roomIdOrAlias/make_room_admin',
  auth: 'admin',
  limit: 'light',
  params: { roomIdOrAlias },
  body: Type.Object({ user_id: Type.Optional(schemas.userId) }),
  handle: async (ctx, { caller, params, body }) => {
    await makeRoomAdmin(ctx, params.roomIdOrAlias, body.user_id ?? caller.userId)
    return {}
  },
})
