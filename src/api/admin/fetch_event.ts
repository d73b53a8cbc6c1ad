import { requireContentAccess } from '../../admin/content.ts'
import { anyEvent } from '../../admin/room-history.ts'
import { eventId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/admin_api/fetch_event.html */
export const getFetchEvent = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/fetch_event/:eventId',
  auth: 'admin',
  limit: 'light',
  params: { eventId },
  handle: async (ctx, { caller, params }) => {
    requireContentAccess(ctx)
    return { event: await anyEvent(ctx, caller, params.eventId) }
  },
})
