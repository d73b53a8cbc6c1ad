import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { ban } from '../../../rooms/ban.ts'
import { reasonLimitBytes } from '../../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban */
export const banFromRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/ban',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  canonicalBody: true,
  body: Type.Object({ user_id: schemas.userId, reason: Type.Optional(schemas.text(reasonLimitBytes)) }),
  handle: async (ctx, { caller, params, body }) => {
    await ban(ctx, caller, params.roomId, body.user_id, { reason: body.reason })
    return {}
  },
})
