import Type from 'typebox'
import { roomAlias, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { createAlias, removeAlias, resolveAlias } from '../../../rooms/aliases.ts'

const declared = '/_matrix/client/v3/directory/room/:roomAlias'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias */
export const getAlias = endpoint({
  method: 'GET',
  path: declared,
  auth: 'none',
  limit: 'anonymous',
  params: { roomAlias },
  handle: async (ctx, { params }) => {
    const { roomId, servers } = await resolveAlias(ctx, params.roomAlias)
    return { room_id: roomId, servers: [...servers] }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias */
export const putAlias = endpoint({
  method: 'PUT',
  path: declared,
  auth: 'user',
  limit: 'light',
  params: { roomAlias },
  body: Type.Object({ room_id: schemas.roomId }),
  handle: async (ctx, { caller, params, body }) => {
    await createAlias(ctx, caller, params.roomAlias, body.room_id)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias */
export const deleteAlias = endpoint({
  method: 'DELETE',
  path: declared,
  auth: 'user',
  limit: 'light',
  params: { roomAlias },
  handle: async (ctx, { caller, params }) => {
    await removeAlias(ctx, caller, params.roomAlias)
    return {}
  },
})
