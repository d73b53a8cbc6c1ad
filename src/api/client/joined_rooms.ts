import { endpoint } from '../../http/endpoint.ts'
import { joinedRooms } from '../../storage/memberships.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms */
export const listJoinedRooms = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/joined_rooms',
  auth: 'guest',
  limit: 'light',
  handle: async (ctx, { caller }) => {
    const rooms = await joinedRooms(ctx.db.kysely, caller.userNumber)
    return { joined_rooms: rooms.map(({ roomId }) => roomId) }
  },
})
