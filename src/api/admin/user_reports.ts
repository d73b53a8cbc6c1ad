import { findReport, listReports, nextToken, removeReport, userReportAnswer } from '../../admin/reports.ts'
import { integer, limit, oneOf, optional, string, withDefault } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

const path = '/_synapse/admin/v1/user_reports'
const reportId = integer({ min: 0 })

/** https://element-hq.github.io/synapse/latest/admin_api/user_reports.html */
export const getUserReports = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  query: {
    from: withDefault(integer({ min: 0 }), 0),
    limit: limit(100, 1_000),
    dir: withDefault(oneOf('f', 'b'), 'b'),
    user_id: optional(string),
    target_user_id: optional(string),
  },
  handle: async (ctx, { query }) => {
    const { from, limit: most, dir: direction, user_id: reporter = null, target_user_id: target = null } = query
    const wanted = { kind: 'user', roomId: null, reporter, target, direction } as const
    const found = await listReports(ctx, wanted, { from, limit: most }, userReportAnswer)
    return { user_reports: found.reports, total: found.total, ...nextToken(from, found) }
  },
})

/** One report. */
export const getUserReport = endpoint({
  method: 'GET',
  path: `${path}/:reportId`,
  auth: 'admin',
  limit: 'light',
  params: { reportId },
  handle: async (ctx, { params }) => userReportAnswer(ctx, await findReport(ctx, 'user', params.reportId)),
})

/** Deletes a report. */
export const deleteUserReport = endpoint({
  method: 'DELETE',
  path: `${path}/:reportId`,
  auth: 'admin',
  limit: 'light',
  params: { reportId },
  handle: async (ctx, { params }) => {
    await removeReport(ctx, 'user', params.reportId)
    return {}
  },
})
