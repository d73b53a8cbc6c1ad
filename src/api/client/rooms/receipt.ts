import Type from 'typebox'
import { eventId, oneOf, roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { acknowledge, readThreadId, receiptTypes } from '../../../rooms/receipts.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid */
export const receipt = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/receipt/:receiptType/:eventId',
  auth: 'user',
  limit: 'light',
  params: { roomId, receiptType: oneOf(...receiptTypes), eventId },
  // A `thread_id` of a wrong type is M_INVALID_PARAM, not M_BAD_JSON.
  body: Type.Object({ thread_id: Type.Optional(Type.Any()) }),
  handle: async (ctx, { caller, params, body }) => {
    await acknowledge(ctx, caller.userId, { ...params, threadId: readThreadId(body.thread_id) })
    return {}
  },
})
