import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { leave } from '../../../rooms/leave.ts'
import { reasonLimitBytes } from '../../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave */
export const leaveRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/leave',
  auth: 'guest',
  limit: 'light',
  params: { roomId },
  canonicalBody: true,
  body: Type.Object({ reason: Type.Optional(schemas.text(reasonLimitBytes)) }),
  handle: async (ctx, { caller, params, body }) => {
    await leave(ctx, caller, params.roomId, { reason: body.reason })
    return {}
  },
})
