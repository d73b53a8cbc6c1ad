import { requireContentAccess } from '../../../admin/content.ts'
import { localAccount } from '../../../admin/local-account.ts'
import { userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { type JsonObject, type JsonValue } from '../../../protocol/json.ts'
import { allAccountData } from '../../../storage/admin-users.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#account-data */
export const getUserAccountData = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/accountdata',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => {
    requireContentAccess(ctx)
    const account = await localAccount(ctx, params.userId)
    const global: JsonObject = {}
    const rooms: Record<string, JsonObject> = {}
    for (const { roomId, type, content } of await allAccountData(
      ctx.db.kysely,
      ctx.numbers.sealer,
      account.userNumber,
    )) {
      // The column holds JSON text that this server wrote.
      const value = JSON.parse(content) as JsonValue
      if (roomId === null) global[type] = value
      else (rooms[roomId] ??= {})[type] = value
    }
    return { account_data: { global, rooms } }
  },
})
