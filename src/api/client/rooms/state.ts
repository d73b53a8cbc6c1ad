import { integer, oneOf, optional, roomId, schemas, string, withDefault } from '../../../http/decoders.ts'
import { endpoint, jsonText, type User } from '../../../http/endpoint.ts'
import { type Context } from '../../../context.ts'
import { type RoomId } from '../../../protocol/identifiers.ts'
import { type JsonObject } from '../../../protocol/json.ts'
import { clientEvents } from '../../../rooms/client-events.ts'
import { setState, visibleState, visibleStateEvent } from '../../../rooms/state.ts'

const stateWithKey = '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey'
/** "The state key … Defaults to an empty string", with or without the last slash. */
const stateWithoutKey = ['/_matrix/client/v3/rooms/:roomId/state/:eventType', '/_matrix/client/v3/rooms/:roomId/state/:eventType/'] as const // prettier-ignore

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate */
export const getState = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/state',
  auth: 'guest',
  limit: 'light',
  params: { roomId },
  handle: async (ctx, { caller, params }) => {
    const events = await visibleState(ctx, caller.userId, params.roomId)
    return jsonText(JSON.stringify(await clientEvents(ctx, caller, events, { withRoomId: true })))
  },
})

const format = withDefault(oneOf('content', 'event'), 'content')

async function readStateEvent(
  ctx: Context,
  caller: User,
  place: { readonly roomId: RoomId; readonly eventType: string; readonly stateKey: string },
  wanted: 'content' | 'event',
): Promise<JsonObject> {
  const stored = await visibleStateEvent(ctx, caller.userId, place.roomId, place.eventType, place.stateKey)
  if (wanted === 'content') return stored.event.content
  const [shown] = await clientEvents(ctx, caller, [stored], { withRoomId: true })
  return shown ?? {}
}

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey */
export const getStateEvent = endpoint({
  method: 'GET',
  path: stateWithKey,
  auth: 'guest',
  limit: 'light',
  params: { roomId, eventType: string, stateKey: string },
  query: { format },
  handle: (ctx, { caller, params, query }) => readStateEvent(ctx, caller, params, query.format),
})

/** The same for the empty state key. */
export const getStateEventWithoutKey = endpoint({
  method: 'GET',
  path: stateWithoutKey[0],
  aliases: [stateWithoutKey[1]],
  auth: 'guest',
  limit: 'light',
  params: { roomId, eventType: string },
  query: { format },
  handle: (ctx, { caller, params, query }) => readStateEvent(ctx, caller, { ...params, stateKey: '' }, query.format),
})

// Timestamp massaging is for application services alone.
const timestamp = (caller: User, ts: number | undefined) => (caller.tokenHash === null ? ts : undefined)

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
export const putStateEvent = endpoint({
  method: 'PUT',
  path: stateWithKey,
  auth: 'guest',
  limit: 'message',
  params: { roomId, eventType: string, stateKey: string },
  query: { ts: optional(integer({ min: 0 })) },
  canonicalBody: true,
  body: schemas.object,
  handle: async (ctx, { caller, params, query, body }) => {
    const originServerTs = timestamp(caller, query.ts)
    const { eventType: type, stateKey } = params
    return { event_id: await setState(ctx, caller, params.roomId, { type, stateKey, content: body, originServerTs }) }
  },
})

/** The same for the empty state key. */
export const putStateEventWithoutKey = endpoint({
  method: 'PUT',
  path: stateWithoutKey[0],
  aliases: [stateWithoutKey[1]],
  auth: 'guest',
  limit: 'message',
  params: { roomId, eventType: string },
  query: { ts: optional(integer({ min: 0 })) },
  canonicalBody: true,
  body: schemas.object,
  handle: async (ctx, { caller, params, query, body }) => {
    const originServerTs = timestamp(caller, query.ts)
    const { eventType: type } = params
    return {
      event_id: await setState(ctx, caller, params.roomId, { type, stateKey: '', content: body, originServerTs }),
    }
  },
})
