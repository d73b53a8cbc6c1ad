import { notInRoom } from '../../../errors.ts'
import { roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { type JsonObject } from '../../../protocol/json.ts'
import { roomHead } from '../../../rooms/head.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members */
export const joinedMembers = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/joined_members',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { caller, params }) => {
    const head = await roomHead(ctx, params.roomId)
    if (head?.membership(caller.userId) !== 'join') throw notInRoom()
    const joined: JsonObject = {}
    for (const userId of head.members('join')) {
      const { displayname, avatar_url: avatarUrl } = head.event('m.room.member', userId)?.content ?? {}
      joined[userId] = {
        ...(typeof displayname === 'string' ? { display_name: displayname } : {}),
        ...(typeof avatarUrl === 'string' ? { avatar_url: avatarUrl } : {}),
      }
    }
    return { joined }
  },
})
