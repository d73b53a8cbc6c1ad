import { changeTag, requireSelf, roomTags } from '../../../../accounts/account-data.ts'
import { roomId, schemas, string, userId } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
export const getTags = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags',
  auth: 'user',
  limit: 'light',
  params: { userId, roomId },
  handle: async (ctx, { caller, params }) => {
    requireSelf(caller, params.userId)
    return { tags: await roomTags(ctx, caller, params.roomId) }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag */
export const putTag = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  auth: 'user',
  limit: 'light',
  params: { userId, roomId, tag: string },
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    requireSelf(caller, params.userId)
    await changeTag(ctx, caller, params.roomId, params.tag, body)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag */
export const deleteTag = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  auth: 'user',
  limit: 'light',
  params: { userId, roomId, tag: string },
  handle: async (ctx, { caller, params }) => {
    requireSelf(caller, params.userId)
    await changeTag(ctx, caller, params.roomId, params.tag, null)
    return {}
  },
})
