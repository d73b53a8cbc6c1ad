import { eventId, roomId, schemas, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { redact } from '../../../rooms/redact.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId',
  auth: 'user',
  limit: 'message',
  params: { roomId, eventId, txnId: string },
  canonicalBody: true,
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    const { redacts: _redacts, ...content } = body
    const redactionId = await redact(ctx, caller, params.roomId, {
      eventId: params.eventId,
      content,
      transactionId: params.txnId,
      path: ['redact', params.roomId, params.eventId],
    })
    return { event_id: redactionId }
  },
})
