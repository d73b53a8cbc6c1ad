import { knownRoom } from '../../../admin/room-access.ts'
import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-members-api */
export const getRoomMembers = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/members',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { params }) => {
    const members = (await knownRoom(ctx, params.roomId)).members('join')
    return { members, total: members.length }
  },
})
