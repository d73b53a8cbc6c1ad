import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { forget } from '../../../rooms/forget.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget */
export const forgetRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/forget',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { caller, params }) => {
    await forget(ctx, caller, params.roomId)
    return {}
  },
})
