import { deviceListChanges } from '../../../encryption/device-lists.ts'
import { invalidParam } from '../../../errors.ts'
import { string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { parseSyncToken } from '../../../sync/token.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges */
export const changes = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/keys/changes',
  auth: 'user',
  limit: 'keys',
  query: { from: string, to: string },
  handle: async (ctx, { caller, query }) => {
    const [from, to] = [parseSyncToken(query.from), parseSyncToken(query.to)]
    if (!from || !to) throw invalidParam('from and to must be tokens of /sync')
    // Positions from a past that is lost say nothing: whoever holds them starts afresh, and asks about everybody.
    const after = ctx.log.covers(from.epoch, from.position) ? from.position : 0
    const upTo = ctx.log.covers(to.epoch, to.position) ? to.position : ctx.log.head
    const { changed, left } = await deviceListChanges(ctx, caller.userId, after, upTo)
    return { changed: [...changed], left: [...left] }
  },
})
