import { boolean, integer, longString, oneOf, optional, string, withDefault } from '../../http/decoders.ts'
import { endpoint, jsonText } from '../../http/endpoint.ts'
import { filterFrom, sinceFrom, timeoutLimitMs } from '../../sync/request.ts'
import { answerSync } from '../../sync/response.ts'

const unstableStateAfter = 'org.matrix.msc4222.use_state_after'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
export const sync = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/sync',
  auth: 'guest',
  limit: null,
  query: {
    filter: optional(longString),
    since: optional(string),
    full_state: withDefault(boolean, false),
    // Presence is off on this server.
    set_presence: optional(oneOf('offline', 'online', 'unavailable')),
    timeout: withDefault(integer({ min: 0 }), 0),
    use_state_after: withDefault(boolean, false),
    [unstableStateAfter]: withDefault(boolean, false),
  },
  handle: async (ctx, facts) => {
    const { caller, query } = facts
    const request = {
      caller,
      filter: await filterFrom(ctx, caller.userNumber, query.filter),
      since: sinceFrom(ctx, query.since),
      fullState: query.full_state,
      stateAfterKeys: [
        ...(query.use_state_after ? (['state_after'] as const) : []),
        ...(query[unstableStateAfter] ? (['org.matrix.msc4222.state_after'] as const) : []),
      ],
      timeoutMs: Math.min(query.timeout, timeoutLimitMs),
    }
    // To look out for the end costs something: only those who wait ask for it.
    return jsonText(await answerSync(ctx, request, () => facts.end))
  },
})
