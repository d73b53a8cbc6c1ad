import { localAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { membershipsOf } from '../../../storage/memberships.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-memberships-of-a-user */
export const getUserMemberships = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/memberships',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => {
    const account = await localAccount(ctx, params.userId)
    const rooms = await membershipsOf(ctx.db.kysely, account.userNumber)
    return { memberships: Object.fromEntries(rooms.map(({ roomId, membership }) => [roomId, membership])) }
  },
})
