import { readAudit } from '../../../admin/audit.ts'
import { integer, limit, list, optional, longString } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/**
 * What administrators did, the newest first. Whom or what it was about is kept as a hash: it can be asked for by the values
 * of the path's parameters (`target`, repeated in their order), and not be read.
 */
export const getAudit = endpoint({
  method: 'GET',
  path: '/_lethe/admin/v1/audit',
  auth: 'admin',
  limit: 'light',
  query: { before: optional(integer({ min: 0 })), limit: limit(100, 1_000), target: list(longString) },
  handle: async (ctx, { query }) => {
    const uses = await readAudit(ctx, {
      before: query.before ?? null,
      target: query.target.length > 0 ? query.target : null,
      limit: query.limit,
    })
    const last = uses.at(-1)
    return {
      uses: uses.map(use => ({
        number: use.useNumber,
        user_id: use.userId,
        method: use.method,
        endpoint: use.endpoint,
        target_hash: use.targetHash?.toString('hex') ?? null,
        minute_ts: use.minuteTs,
      })),
      ...(last && uses.length === query.limit ? { next_before: last.useNumber } : {}),
    }
  },
})
