import { invalidParam } from '../../../errors.ts'
import { limit, oneOf, optional, roomId, string, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { shownEvents } from '../../../rooms/history.ts'
import { threads as threadsIn } from '../../../rooms/related.ts'
import { roomAccess } from '../../../rooms/visibility.ts'
import { parseTimelineToken, timelineToken } from '../../../sync/token.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads */
export const threads = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/threads',
  auth: 'user',
  limit: 'heavy',
  params: { roomId },
  query: { from: optional(string), include: withDefault(oneOf('all', 'participated'), 'all'), limit: limit(20, 100) },
  handle: async (ctx, { caller, params, query }) => {
    const access = await roomAccess(ctx, caller.userId, params.roomId)
    const from = query.from === undefined ? Number.MAX_SAFE_INTEGER : parseTimelineToken(query.from)
    if (from === null) throw invalidParam('from is not a token of this server')
    const { roots, next } = await threadsIn(ctx, caller.userId, access.head, {
      upTo: Math.min(from, access.upTo),
      onlyParticipated: query.include === 'participated',
      limit: Math.max(1, query.limit),
    })
    return {
      chunk: await shownEvents(ctx, caller, access.head, roots),
      ...(next === null ? {} : { next_batch: timelineToken(next) }),
    }
  },
})
