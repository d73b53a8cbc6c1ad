import { requireContentAccess } from '../../admin/content.ts'
import { findReport, listReports, nextToken, removeReport, reportAnswer } from '../../admin/reports.ts'
import { anyEvent } from '../../admin/room-history.ts'
import { MatrixError } from '../../errors.ts'
import { integer, limit, oneOf, optional, roomId, string, withDefault } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

const path = '/_synapse/admin/v1/event_reports'
const reportId = integer({ min: 0 })

/** https://element-hq.github.io/synapse/latest/admin_api/event_reports.html */
export const getEventReports = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  query: {
    from: withDefault(integer({ min: 0 }), 0),
    limit: limit(100, 1_000),
    dir: withDefault(oneOf('f', 'b'), 'b'),
    user_id: optional(string),
    event_sender_user_id: optional(string),
    room_id: optional(roomId),
  },
  handle: async (ctx, { query }) => {
    const { from, limit: most } = query
    const found = await listReports(
      ctx,
      {
        kind: 'event',
        roomId: query.room_id ?? null,
        reporter: query.user_id ?? null,
        target: query.event_sender_user_id ?? null,
        direction: query.dir,
      },
      { from, limit: most },
    )
    return { event_reports: found.reports, total: found.total, ...nextToken(from, found) }
  },
})

/** One report with the event itself, which may have gone. */
export const getEventReport = endpoint({
  method: 'GET',
  path: `${path}/:reportId`,
  auth: 'admin',
  limit: 'light',
  params: { reportId },
  handle: async (ctx, { caller, params }) => {
    requireContentAccess(ctx)
    const report = await findReport(ctx, 'event', params.reportId)
    const answer = await reportAnswer(ctx, report)
    if (report.eventId === null) return { ...answer, event_json: null }
    try {
      return { ...answer, event_json: await anyEvent(ctx, caller, report.eventId) }
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_NOT_FOUND') return { ...answer, event_json: null }
      throw error
    }
  },
})

/** Deletes a report. */
export const deleteEventReport = endpoint({
  method: 'DELETE',
  path: `${path}/:reportId`,
  auth: 'admin',
  limit: 'light',
  params: { reportId },
  handle: async (ctx, { params }) => {
    await removeReport(ctx, 'event', params.reportId)
    return {}
  },
})
