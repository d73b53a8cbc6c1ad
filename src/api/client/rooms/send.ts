import { integer, optional, roomId, schemas, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { send } from '../../../rooms/send.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export const sendMessage = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId',
  auth: 'guest',
  limit: 'message',
  params: { roomId, eventType: string, txnId: string },
  query: { ts: optional(integer({ min: 0 })) },
  canonicalBody: true,
  body: schemas.object,
  handle: async (ctx, { caller, params, query, body }) => {
    const eventId = await send(ctx, caller, params.roomId, {
      type: params.eventType,
      content: body,
      transactionId: params.txnId,
      // Timestamp massaging is for application services alone.
      originServerTs: caller.tokenHash === null ? query.ts : undefined,
    })
    return { event_id: eventId }
  },
})
