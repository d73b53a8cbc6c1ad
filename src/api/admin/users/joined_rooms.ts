import { localAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { joinedRooms } from '../../../storage/memberships.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-joined-rooms-of-a-user */
export const getUserJoinedRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/joined_rooms',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => {
    const account = await localAccount(ctx, params.userId)
    const rooms = (await joinedRooms(ctx.db.kysely, account.userNumber)).map(({ roomId }) => roomId).sort()
    return { joined_rooms: rooms, total: rooms.length }
  },
})
