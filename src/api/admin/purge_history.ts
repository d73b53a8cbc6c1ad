import Type from 'typebox'
import { orderPurge } from '../../admin/purge-history.ts'
import { badJson, invalidParam } from '../../errors.ts'
import { eventId, roomId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseEventId } from '../../protocol/identifiers.ts'

const body = Type.Object({
  delete_local_events: Type.Optional(Type.Boolean()),
  purge_up_to_event_id: Type.Optional(Type.String()),
  purge_up_to_ts: Type.Optional(Type.Integer({ minimum: 0 })),
})

/** https://element-hq.github.io/synapse/latest/admin_api/purge_history_api.html */
export const postPurgeHistory = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/purge_history/:roomId',
  auth: 'admin',
  limit: 'light',
  params: { roomId },
  body,
  handle: async (ctx, { caller, params, body: asked }) => {
    const withLocal = asked.delete_local_events === true
    if (asked.purge_up_to_event_id !== undefined) {
      const id = parseEventId(asked.purge_up_to_event_id)
      if (id === null) throw invalidParam('purge_up_to_event_id is not an event ID')
      return { purge_id: await orderPurge(ctx, caller, params.roomId, { before: { eventId: id }, withLocal }) }
    }
    if (asked.purge_up_to_ts === undefined) throw badJson('Must specify purge_up_to_event_id or purge_up_to_ts')
    const before = { ts: asked.purge_up_to_ts }
    return { purge_id: await orderPurge(ctx, caller, params.roomId, { before, withLocal }) }
  },
})

/** Likewise, up to the event of the path. */
export const postPurgeHistoryUpTo = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/purge_history/:roomId/:eventId',
  auth: 'admin',
  limit: 'light',
  params: { roomId, eventId },
  body,
  handle: async (ctx, { caller, params, body: asked }) => {
    const withLocal = asked.delete_local_events === true
    const before = { eventId: params.eventId }
    return { purge_id: await orderPurge(ctx, caller, params.roomId, { before, withLocal }) }
  },
})
