import { eventId, limit, longString, optional, roomId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { matchesEvent } from '../../../protocol/filters.ts'
import { eventAccess, shownEvents, stateAfter, visibleEvent, walk } from '../../../rooms/history.ts'
import { readEventFilter } from '../../../rooms/member-events.ts'
import { timelineToken } from '../../../sync/token.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
export const context = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/context/:eventId',
  auth: 'guest',
  limit: 'light',
  params: { roomId, eventId },
  query: { limit: limit(10, 100), filter: optional(longString) },
  handle: async (ctx, { caller, params, query }) => {
    const access = await eventAccess(ctx, caller.userId, params.roomId)
    const filter = readEventFilter(query.filter)
    const target = await visibleEvent(ctx, caller.userId, access, params.eventId)
    // The limit is for both sides together; the odd one goes to the earlier.
    const before = {
      from: target.position - 1,
      to: null,
      direction: 'backward',
      limit: Math.ceil(query.limit / 2),
      filter,
    } as const
    const after = {
      from: target.position,
      to: null,
      direction: 'forward',
      limit: Math.floor(query.limit / 2),
      filter,
    } as const
    const [earlier, later] = await Promise.all([
      query.limit === 0 ? nothing(target.position - 1) : walk(ctx, caller.userId, access, before),
      after.limit === 0 ? nothing(target.position) : walk(ctx, caller.userId, access, after),
    ])
    const newest = later.events.at(-1) ?? target
    const around = [...earlier.events, target, ...later.events]
    const senders = new Set(around.map(({ event }) => event.sender))
    const state = (await stateAfter(ctx, newest)).filter(
      // Every event of the state has a state key; that of a member event is the member.
      ({ event }) =>
        (!filter || matchesEvent(filter, event)) &&
        (!filter?.lazyLoadMembers || event.type !== 'm.room.member' || [...senders].some(sender => sender === event.stateKey)), // prettier-ignore
    )
    const show = (events: typeof around) => shownEvents(ctx, caller, access.head, events)
    const [shownTarget, eventsBefore, eventsAfter, shownState] = await Promise.all([
      show([target]),
      show([...earlier.events]),
      show([...later.events]),
      show(state),
    ])
    return {
      start: timelineToken((earlier.events.at(-1)?.position ?? target.position) - 1),
      end: timelineToken(newest.position ?? target.position),
      event: shownTarget[0] ?? {},
      events_before: eventsBefore,
      events_after: eventsAfter,
      state: shownState,
    }
  },
})

function nothing(next: number): { events: []; next: number } {
  return { events: [], next }
}
