import { endpoint } from '../../../http/endpoint.ts'
import { reportJson, reportOn } from '../../../privacy/report.ts'

/** What this server knows of whoever asks: every kind of thing, how many of each, what for, how long, and the first rows. */
export const getReport = endpoint({
  method: 'GET',
  path: '/_lethe/client/v1/report',
  auth: 'user',
  limit: 'heavy',
  handle: async (ctx, { caller }) => reportJson(await reportOn(ctx, caller)),
})
