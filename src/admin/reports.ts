import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { type JsonObject } from '../protocol/json.ts'
import { roomHead } from '../rooms/head.ts'
import { transaction } from '../storage/database.ts'
import {
  deleteReport,
  type Report,
  type ReportKind,
  reportOf,
  reports,
  type ReportsWanted,
} from '../storage/reports.ts'

const unknown = () => notFound('Event report not found')

/** A page of the reports of a kind, and how many there are in all. */
export async function listReports(
  ctx: Context,
  wanted: ReportsWanted,
  page: { readonly from: number; readonly limit: number },
  answer: (ctx: Context, report: Report) => Promise<JsonObject> = reportAnswer,
): Promise<{ readonly reports: JsonObject[]; readonly total: number }> {
  const found = await reports(ctx.db.kysely, ctx.numbers.sealer, wanted, page)
  return { reports: await Promise.all(found.reports.map(report => answer(ctx, report))), total: found.total }
}

/** Where the next page of a list begins, in the form in which Synapse says so; nothing at the end of the list. */
export function nextToken(
  from: number,
  { reports, total }: { reports: readonly unknown[]; total: number },
): JsonObject {
  const reached = from + reports.length
  return reached < total && reports.length > 0 ? { next_token: reached } : {}
}

/** One report. Throws `notFound`. */
export async function findReport(ctx: Context, kind: ReportKind, reportNumber: number): Promise<Report> {
  const report = await reportOf(ctx.db.kysely, ctx.numbers.sealer, kind, reportNumber)
  if (!report) throw unknown()
  return report
}

/** Deletes a report. Throws `notFound`. */
export async function removeReport(ctx: Context, kind: ReportKind, reportNumber: number): Promise<void> {
  if (!(await transaction(ctx.db, tx => deleteReport(tx, kind, reportNumber)))) throw unknown()
}

/** A report of a user in Synapse's fields. */
export function userReportAnswer(_: Context, report: Report): Promise<JsonObject> {
  return Promise.resolve({
    id: report.reportNumber,
    received_ts: report.receivedTs,
    target_user_id: report.target,
    user_id: report.reporter,
    reason: report.reason,
  })
}

/** A report in Synapse's fields. */
export async function reportAnswer(ctx: Context, report: Report): Promise<JsonObject> {
  const head = report.roomId === null ? null : await roomHead(ctx, report.roomId)
  const text = (type: string, key: string) => {
    const value = head?.event(type)?.content[key]
    return typeof value === 'string' ? value : null
  }
  return {
    id: report.reportNumber,
    received_ts: report.receivedTs,
    room_id: report.roomId,
    event_id: report.eventId,
    user_id: report.reporter,
    reason: report.reason,
    score: report.score,
    sender: report.target,
    canonical_alias: text('m.room.canonical_alias', 'alias'),
    name: text('m.room.name', 'name'),
  }
}
