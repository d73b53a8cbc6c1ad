import Type from 'typebox'
import { list, roomIdOrAlias, schemas, serverName } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { findRoom } from '../../rooms/aliases.ts'
import { join } from '../../rooms/join.ts'
import { reasonLimitBytes } from '../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias */
export const joinByIdOrAlias = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/join/:roomIdOrAlias',
  auth: 'guest',
  limit: 'join',
  params: { roomIdOrAlias },
  // `server_name` is what `via` was called before v1.12.
  query: { via: list(serverName), server_name: list(serverName) },
  canonicalBody: true,
  body: Type.Object({ reason: Type.Optional(schemas.text(reasonLimitBytes)) }),
  handle: async (ctx, { caller, params, query, body }) => {
    const { roomId, via } = await findRoom(ctx, params.roomIdOrAlias, [...query.via, ...query.server_name])
    await join(ctx, caller, roomId, { reason: body.reason, via, more: body })
    return { room_id: roomId }
  },
})
