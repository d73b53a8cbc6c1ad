import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { unban } from '../../../rooms/unban.ts'
import { reasonLimitBytes } from '../../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban */
export const unbanFromRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/unban',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  canonicalBody: true,
  body: Type.Object({ user_id: schemas.userId, reason: Type.Optional(schemas.text(reasonLimitBytes)) }),
  handle: async (ctx, { caller, params, body }) => {
    await unban(ctx, caller, params.roomId, body.user_id, { reason: body.reason })
    return {}
  },
})
