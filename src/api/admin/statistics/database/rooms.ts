import { endpoint } from '../../../../http/endpoint.ts'
import { largestRooms } from '../../../../storage/room-sizes.ts'

const told = 10

/** https://element-hq.github.io/synapse/latest/admin_api/statistics.html#get-largest-rooms-by-size-in-database */
export const getDatabaseRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/database/rooms',
  auth: 'admin',
  limit: 'heavy',
  handle: async ctx => ({
    rooms: (await largestRooms(ctx.db.kysely, told)).map(({ roomId, bytes }) => ({
      room_id: roomId,
      estimated_size: bytes,
    })),
  }),
})
