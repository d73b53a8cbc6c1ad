import Type from 'typebox'
import { deviceMessages, sendToDevice } from '../../encryption/send-to-device.ts'
import { schemas, string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
export const send = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/sendToDevice/:eventType/:txnId',
  auth: 'guest',
  limit: 'keys',
  params: { eventType: string, txnId: string },
  body: Type.Object({ messages: schemas.object }),
  handle: async (ctx, { caller, params, body }) => {
    await sendToDevice(ctx, caller, params.eventType, params.txnId, deviceMessages(body.messages))
    return {}
  },
})
