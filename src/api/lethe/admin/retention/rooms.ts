import Type from 'typebox'
import { integer, limit, roomId, withDefault } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import {
  clearRetentionOverride,
  listRetentionOverrides,
  setRetentionOverride,
} from '../../../../retention/overrides.ts'

const path = '/_lethe/admin/v1/retention/rooms'
const lifetime = Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])

/** The rooms for which an administrator said how long messages live. Milliseconds; `null`: no such bound. */
export const getRetentionRooms = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  query: { after: withDefault(integer({ min: 0 }), 0), limit: limit(100, 1_000) },
  handle: async (ctx, { query }) => {
    const found = await listRetentionOverrides(ctx, query.after, query.limit)
    const last = found.at(-1)
    return {
      rooms: found.map(room => ({
        room_id: room.roomId,
        max_lifetime: room.lifetime.maxLifetime,
        min_lifetime: room.lifetime.minLifetime,
      })),
      ...(last && found.length === query.limit ? { next_after: last.roomNumber } : {}),
    }
  },
})

/** Says how long messages of a room live, over what the room says. Both `null`: for ever. */
export const putRetentionRoom = endpoint({
  method: 'PUT',
  path: `${path}/:roomId`,
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  body: Type.Object({ max_lifetime: lifetime, min_lifetime: Type.Optional(lifetime) }),
  handle: async (ctx, { params, body }) => {
    const { max_lifetime: maxLifetime, min_lifetime: minLifetime = null } = body
    await setRetentionOverride(ctx, params.roomId, { maxLifetime, minLifetime })
    return {}
  },
})

/** Lets the room say so itself again. */
export const deleteRetentionRoom = endpoint({
  method: 'DELETE',
  path: `${path}/:roomId`,
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { params }) => {
    await clearRetentionOverride(ctx, params.roomId)
    return {}
  },
})
