import Type from 'typebox'
import { reasonLimitBytes, reportEvent, reportRoom } from '../../../accounts/reports.ts'
import { eventId, roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport */
export const postRoomReport = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/report',
  auth: 'user',
  limit: 'report',
  params: { roomId },
  body: Type.Object({ reason: schemas.text(reasonLimitBytes) }),
  handle: async (ctx, { caller, params, body }) => {
    await reportRoom(ctx, caller, params.roomId, body.reason)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid */
export const postEventReport = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/report/:eventId',
  auth: 'user',
  limit: 'report',
  params: { roomId, eventId },
  body: Type.Object({
    reason: Type.Optional(schemas.text(reasonLimitBytes)),
    score: Type.Optional(Type.Integer({ minimum: -100, maximum: 0 })),
  }),
  handle: async (ctx, { caller, params, body }) => {
    const report = { reason: body.reason ?? '', score: body.score ?? null }
    await reportEvent(ctx, caller, params.roomId, params.eventId, report)
    return {}
  },
})
