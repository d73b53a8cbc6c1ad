import Type from 'typebox'
import { forbidden } from '../../../errors.ts'
import { roomId, userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { setTyping, typingDefaultMs } from '../../../rooms/typing.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid */
export const putTyping = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/typing/:userId',
  auth: 'user',
  limit: 'light',
  params: { roomId, userId },
  body: Type.Object({ typing: Type.Boolean(), timeout: Type.Optional(Type.Number()) }),
  handle: async (ctx, { caller, params, body }) => {
    if (params.userId !== caller.userId) throw forbidden('Nobody can type for another')
    await setTyping(ctx, caller, params.roomId, body.typing, body.timeout ?? typingDefaultMs)
    return {}
  },
})
