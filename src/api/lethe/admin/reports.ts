import { listReports, removeReport } from '../../../admin/reports.ts'
import { integer, limit, oneOf, withDefault } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const kind = oneOf('room', 'user')

/** Reports of rooms and of users, which Synapse's interface has no place for; the newest first. */
export const getReports = endpoint({
  method: 'GET',
  path: '/_lethe/admin/v1/reports/:kind',
  auth: 'admin',
  limit: 'light',
  params: { kind },
  query: { from: withDefault(integer({ min: 0 }), 0), limit: limit(100, 1_000) },
  handle: async (ctx, { params, query }) => {
    const wanted = { kind: params.kind, roomId: null, reporter: null, target: null, direction: 'b' } as const
    const { reports, total } = await listReports(ctx, wanted, query)
    return { reports, total }
  },
})

/** Deletes one. */
export const deleteReport = endpoint({
  method: 'DELETE',
  path: '/_lethe/admin/v1/reports/:kind/:reportId',
  auth: 'admin',
  limit: 'light',
  params: { kind, reportId: integer({ min: 0 }) },
  handle: async (ctx, { params }) => {
    await removeReport(ctx, params.kind, params.reportId)
    return {}
  },
})
