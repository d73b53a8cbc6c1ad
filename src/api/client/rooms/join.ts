import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { join } from '../../../rooms/join.ts'
import { reasonLimitBytes } from '../../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin */
export const joinRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/join',
  auth: 'guest',
  limit: 'join',
  params: { roomId },
  canonicalBody: true,
  body: Type.Object({ reason: Type.Optional(schemas.text(reasonLimitBytes)) }),
  handle: async (ctx, { caller, params, body }) => {
    await join(ctx, caller, params.roomId, { reason: body.reason, more: body })
    return { room_id: params.roomId }
  },
})
