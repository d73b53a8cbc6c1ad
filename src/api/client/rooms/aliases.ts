import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { listAliases } from '../../../rooms/aliases.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases */
export const getRoomAliases = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/aliases',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { caller, params }) => ({ aliases: await listAliases(ctx, caller, params.roomId) }),
})
