import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { markRead, receiptTypes } from '../../../rooms/receipts.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers */
export const readMarkers = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/read_markers',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  body: Type.Object({
    'm.fully_read': Type.Optional(schemas.eventId),
    'm.read': Type.Optional(schemas.eventId),
    'm.read.private': Type.Optional(schemas.eventId),
  }),
  handle: async (ctx, { caller, params, body }) => {
    const marks = receiptTypes.flatMap(receiptType => {
      const eventId = body[receiptType]
      return eventId === undefined ? [] : [{ receiptType, eventId, threadId: null }]
    })
    await markRead(ctx, caller.userId, params.roomId, marks)
    return {}
  },
})
