import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { upgradeRoom } from '../../../rooms/upgrade.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade */
export const upgrade = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/upgrade',
  auth: 'user',
  limit: 'createRoom',
  params: { roomId },
  body: Type.Object({
    new_version: Type.String(),
    additional_creators: Type.Optional(Type.Array(schemas.userId, { maxItems: 100 })),
  }),
  handle: async (ctx, { caller, params, body }) => {
    const newRoomId = await upgradeRoom(ctx, caller, params.roomId, {
      version: body.new_version,
      additionalCreators: body.additional_creators ?? [],
    })
    return { replacement_room: newRoomId }
  },
})
