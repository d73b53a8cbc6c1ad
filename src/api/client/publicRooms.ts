import Type from 'typebox'
import { limit, longString, optional, schemas, serverName } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { directoryDefault, directoryLimit, listRooms } from '../../rooms/directory.ts'

// A limit of zero says nothing, so it is none.
const orDefault = (rooms: number) => rooms || directoryDefault

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms */
export const getPublicRooms = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'guest',
  limit: 'light',
  query: {
    limit: limit(directoryDefault, directoryLimit),
    since: optional(longString),
    server: optional(serverName),
  },
  handle: (ctx, { query }) =>
    listRooms(ctx, { limit: orDefault(query.limit), since: query.since, server: query.server }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms */
export const searchPublicRooms = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'guest',
  limit: 'light',
  query: { server: optional(serverName) },
  body: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    since: Type.Optional(Type.String()),
    filter: Type.Optional(
      Type.Object({
        generic_search_term: Type.Optional(schemas.text(1_000)),
        room_types: Type.Optional(
          Type.Union([Type.Array(Type.Union([schemas.text(255), Type.Null()]), { maxItems: 100 }), Type.Null()]),
        ),
      }),
    ),
    include_all_networks: Type.Optional(Type.Boolean()),
    third_party_instance_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  handle: (ctx, { query, body }) =>
    listRooms(ctx, {
      limit: Math.min(orDefault(body.limit ?? 0), directoryLimit),
      since: body.since,
      server: query.server,
      searchTerm: body.filter?.generic_search_term,
      roomTypes: body.filter?.room_types ?? undefined,
    }),
})
