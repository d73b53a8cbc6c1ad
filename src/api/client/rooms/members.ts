import { invalidParam, notInRoom } from '../../../errors.ts'
import { oneOf, optional, roomId, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { membershipIn, memberships } from '../../../protocol/history-visibility.ts'
import { clientEvents } from '../../../rooms/client-events.ts'
import { stateAt } from '../../../rooms/history.ts'
import { maySeeStateAt, roomAccess } from '../../../rooms/visibility.ts'
import { parseTimelineToken } from '../../../sync/token.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers */
export const members = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/members',
  auth: 'user',
  limit: 'light',
  params: { roomId },
  query: { at: optional(string), membership: optional(oneOf(...memberships)), not_membership: optional(oneOf(...memberships)) }, // prettier-ignore
  handle: async (ctx, { caller, params, query }) => {
    const access = await roomAccess(ctx, caller.userId, params.roomId)
    const at = query.at === undefined ? Infinity : parseTimelineToken(query.at)
    if (at === null) throw invalidParam('at is not a token of this server')
    const position = Math.min(at, access.upTo)
    const isOpen = position === Infinity || (await maySeeStateAt(ctx, caller.userId, access.head, position))
    if (!isOpen) throw notInRoom()
    const state = await stateAt(ctx, access.head, position)
    const { membership: wantedMembership, not_membership: unwanted } = query
    const wanted = state.filter(({ event }) => {
      if (event.type !== 'm.room.member') return false
      if (wantedMembership === undefined && unwanted === undefined) return true
      // "the two parameters create an 'or' condition"
      const membership = membershipIn(event.content)
      return membership === wantedMembership || (unwanted !== undefined && membership !== unwanted)
    })
    return { chunk: await clientEvents(ctx, caller, wanted, { withRoomId: true }) }
  },
})
