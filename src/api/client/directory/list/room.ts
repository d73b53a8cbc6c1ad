import Type from 'typebox'
import { roomId } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import { directoryVisibility, publishRoom } from '../../../../rooms/directory.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid */
export const getDirectoryVisibility = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/directory/list/room/:roomId',
  auth: 'optional',
  limit: 'anonymous',
  params: { roomId },
  handle: async (ctx, { caller, params }) => ({ visibility: await directoryVisibility(ctx, caller, params.roomId) }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid */
export const putDirectoryVisibility = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/directory/list/room/:roomId',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  body: Type.Object({ visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])) }),
  handle: async (ctx, { caller, params, body }) => {
    await publishRoom(ctx, caller, params.roomId, body.visibility !== 'private')
    return {}
  },
})
