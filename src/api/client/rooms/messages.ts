import { limit, longString, oneOf, optional, roomId, string, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { invalidParam } from '../../../errors.ts'
import { beginning, shownEvents, walk } from '../../../rooms/history.ts'
import { lazyMembers, readEventFilter } from '../../../rooms/member-events.ts'
import { roomAccess } from '../../../rooms/visibility.ts'
import { parseTimelineToken, timelineToken } from '../../../sync/token.ts'

/** The most events of one page. */
const pageLimit = 100

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages */
export const messages = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/messages',
  auth: 'guest',
  limit: 'light',
  params: { roomId },
  query: {
    // The specification demands it; clients that leave it out are used to this.
    dir: withDefault(oneOf('b', 'f'), 'f'),
    from: optional(string),
    to: optional(string),
    limit: limit(10, pageLimit),
    filter: optional(longString),
  },
  handle: async (ctx, { caller, params, query }) => {
    const access = await roomAccess(ctx, caller.userId, params.roomId)
    const filter = readEventFilter(query.filter)
    const direction = query.dir === 'f' ? 'forward' : 'backward'
    const start = direction === 'forward' ? beginning : Math.min(access.upTo, ctx.log.head)
    const from = query.from === undefined ? start : place(query.from, 'from')
    const to = query.to === undefined ? null : place(query.to, 'to')
    const count = Math.max(1, Math.min(query.limit, filter?.limit ?? pageLimit))
    const page = await walk(ctx, caller.userId, access, { from, to, direction, limit: count, filter })
    const state = filter?.lazyLoadMembers ? await lazyMembers(ctx, access, page.events) : []
    const [chunk, members] = await Promise.all([
      shownEvents(ctx, caller, access.head, page.events),
      shownEvents(ctx, caller, access.head, state),
    ])
    return {
      start: timelineToken(from),
      chunk,
      ...(page.next === null ? {} : { end: timelineToken(page.next) }),
      ...(members.length > 0 ? { state: members } : {}),
    }
  },
})

function place(token: string, name: string): number {
  const position = parseTimelineToken(token)
  if (position === null) throw invalidParam(`${name} is not a token of this server`)
  return position
}
