import { invalidParam } from '../../../errors.ts'
import { boolean, eventId, limit, oneOf, optional, roomId, string, withDefault } from '../../../http/decoders.ts'
import { endpoint, type User } from '../../../http/endpoint.ts'
import { type Context } from '../../../context.ts'
import { type EventId, type RoomId } from '../../../protocol/identifiers.ts'
import { type JsonObject } from '../../../protocol/json.ts'
import { beginning, eventAccess, shownEvents, visibleEvent } from '../../../rooms/history.ts'
import { relatedTo } from '../../../rooms/related.ts'
import { parseTimelineToken, timelineToken } from '../../../sync/token.ts'

const query = {
  dir: withDefault(oneOf('b', 'f'), 'b'),
  from: optional(string),
  to: optional(string),
  limit: limit(50, 100),
  recurse: withDefault(boolean, false),
}

interface Request {
  readonly caller: User
  readonly params: { readonly roomId: RoomId; readonly eventId: EventId }
  readonly query: { readonly dir: 'b' | 'f'; readonly from: string | undefined; readonly to: string | undefined; readonly limit: number; readonly recurse: boolean } // prettier-ignore
}

async function answer(
  ctx: Context,
  { caller, params, query }: Request,
  relType: string | null,
  eventType: string | null,
): Promise<JsonObject> {
  const access = await eventAccess(ctx, caller.userId, params.roomId)
  const parent = await visibleEvent(ctx, caller.userId, access, params.eventId)
  const isForward = query.dir === 'f'
  const from = query.from === undefined ? null : place(query.from, 'from')
  const to = query.to === undefined ? null : place(query.to, 'to')
  const newest = Math.min(access.upTo, Number.MAX_SAFE_INTEGER)
  const page = await relatedTo(ctx, caller.userId, access.head, {
    parent: parent.event.eventId,
    relType,
    eventType,
    after: isForward ? (from ?? beginning) : (to ?? beginning),
    upTo: Math.min(isForward ? (to ?? newest) : (from ?? newest), newest),
    direction: isForward ? 'forward' : 'backward',
    limit: Math.max(1, query.limit),
    recurse: query.recurse,
  })
  return {
    chunk: await shownEvents(ctx, caller, access.head, page.events),
    ...(page.next === null ? {} : { next_batch: timelineToken(page.next) }),
    ...(query.from === undefined ? {} : { prev_batch: query.from }),
    ...(query.recurse ? { recursion_depth: page.depth } : {}),
  }
}

function place(token: string, name: string): number {
  const position = parseTimelineToken(token)
  if (position === null) throw invalidParam(`${name} is not a token of this server`)
  return position
}

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid */
export const relations = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId',
  auth: 'user',
  limit: 'heavy',
  params: { roomId, eventId },
  query,
  handle: (ctx, request) => answer(ctx, request, null, null),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltype */
export const relationsOfType = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType',
  auth: 'user',
  limit: 'heavy',
  params: { roomId, eventId, relType: string },
  query,
  handle: (ctx, request) => answer(ctx, request, request.params.relType, null),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltypeeventtype */
export const relationsOfEventType = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType/:eventType',
  auth: 'user',
  limit: 'heavy',
  params: { roomId, eventId, relType: string, eventType: string },
  query,
  handle: (ctx, request) => answer(ctx, request, request.params.relType, request.params.eventType),
})
