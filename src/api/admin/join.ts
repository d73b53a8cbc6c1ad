import Type from 'typebox'
import { joinUser } from '../../admin/room-access.ts'
import { roomIdOrAlias, schemas } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/room_membership.html */
export const postAdminJoin = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/join/:roomIdOrAlias',
  auth: 'admin',
  limit: 'light',
  params: { roomIdOrAlias },
  body: Type.Object({ user_id: schemas.userId }),
  handle: async (ctx, { caller, params, body }) => ({
    room_id: await joinUser(ctx, caller, body.user_id, params.roomIdOrAlias),
  }),
})
