import { notFound } from '../../../errors.ts'
import { eventId, roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { eventAccess, shownEvents, visibleEvent } from '../../../rooms/history.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid */
export const event = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/event/:eventId',
  auth: 'guest',
  limit: 'light',
  params: { roomId, eventId },
  handle: async (ctx, { caller, params }) => {
    const access = await eventAccess(ctx, caller.userId, params.roomId)
    const stored = await visibleEvent(ctx, caller.userId, access, params.eventId)
    const [shown] = await shownEvents(ctx, caller, access.head, [stored])
    if (!shown) throw notFound('There is no such event')
    return shown
  },
})
