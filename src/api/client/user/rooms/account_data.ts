import { accountData, requireSelf, setAccountData } from '../../../../accounts/account-data.ts'
import { roomId, schemas, string, userId } from '../../../../http/decoders.ts'
import { endpoint, jsonText } from '../../../../http/endpoint.ts'

const params = { userId, roomId, type: string }

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype */
export const putRoomAccountData = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  auth: 'user',
  limit: 'light',
  params,
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    requireSelf(caller, params.userId)
    await setAccountData(ctx, caller, params.roomId, params.type, body)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype */
export const getRoomAccountData = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  auth: 'user',
  limit: 'light',
  params,
  handle: async (ctx, { caller, params }) => {
    requireSelf(caller, params.userId)
    return jsonText(await accountData(ctx, caller, params.roomId, params.type))
  },
})
