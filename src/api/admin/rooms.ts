import Type from 'typebox'
import { blockUnknownRoom, deletionOf, orderDeletion, outcomeOf } from '../../admin/delete-room.ts'
import { finishJob } from '../../admin/job-loop.ts'
import { listRooms, roomDetails, roomOrders } from '../../admin/rooms.ts'
import { invalidParam } from '../../errors.ts'
import { boolean, integer, limit, oneOf, optional, roomId, string, withDefault } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#list-room-api */
export const getRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms',
  auth: 'admin',
  limit: 'light',
  query: {
    from: withDefault(integer({ min: 0 }), 0),
    limit: limit(100, 1_000),
    order_by: withDefault(oneOf(...roomOrders), 'name'),
    dir: withDefault(oneOf('f', 'b'), 'f'),
    search_term: optional(string),
    public_rooms: optional(boolean),
    empty_rooms: optional(boolean),
  },
  handle: async (ctx, { query }) => {
    if (query.search_term === '') throw invalidParam('search_term must not be empty')
    const { from, limit: most, order_by: order, dir: direction } = query
    const wanted = {
      searchTerm: query.search_term ?? null,
      isPublic: query.public_rooms ?? null,
      isEmpty: query.empty_rooms ?? null,
    }
    const { rooms, total } = await listRooms(ctx, wanted, { order, direction, from, limit: most })
    const reached = from + rooms.length
    return {
      rooms: [...rooms],
      offset: from,
      total_rooms: total,
      ...(reached < total && rooms.length > 0 ? { next_batch: reached } : {}),
      ...(from > 0 ? { prev_batch: Math.max(0, from - most) } : {}),
    }
  },
})

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-details-api */
export const getRoom = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: (ctx, { params }) => roomDetails(ctx, params.roomId),
})

const deletion = Type.Object({
  block: Type.Optional(Type.Boolean()),
  purge: Type.Optional(Type.Boolean()),
  force_purge: Type.Optional(Type.Boolean()),
  new_room_user_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  room_name: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
  message: Type.Optional(Type.Union([Type.String({ maxLength: 4_096 }), Type.Null()])),
})

/** Answers when all is done. A room that is unknown can be blocked in advance. https://element-hq.github.io/synapse/latest/admin_api/rooms.html#version-1-old-version */
export const deleteRoomNow = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v1/rooms/:roomId',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  body: deletion,
  handle: async (ctx, { caller, params, body }) => {
    const isBlockedOnly = body.block === true && (await blockUnknownRoom(ctx, caller, params.roomId))
    if (isBlockedOnly) return outcomeOf({})
    const jobId = await orderDeletion(ctx, caller, params.roomId, deletionOf(body))
    return outcomeOf((await finishJob(ctx, jobId)).progress)
  },
})

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#version-2-new-version */
export const deleteRoom = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v2/rooms/:roomId',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  body: deletion,
  handle: async (ctx, { caller, params, body }) => ({
    delete_id: await orderDeletion(ctx, caller, params.roomId, deletionOf(body)),
  }),
})
