import { sql } from 'kysely'
import { lifetimeDays } from '../privacy/lifetimes.ts'
import { type Sealer } from '../privacy/seal.ts'
import { type EventId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'
import { noteDeadSeals, sealOfSql } from './keyring-row.ts'

/** Stands for an event that was reported and has been forgotten since. */
const gone = ''

/** What a user reported to the administrators. */
export interface Report {
  readonly reportNumber: number
  /** Who reported it. */
  readonly reporter: UserId
  /** `null` for a report of a user. */
  readonly roomId: RoomId | null
  /** `null` for a report of a room or a user, and of an event that is gone. */
  readonly eventId: EventId | null
  /** Who sent the event, or the user who was reported; `null` for a report of a room. */
  readonly target: UserId | null
  readonly reason: string
  readonly score: number | null
  /** Milliseconds since the epoch. */
  readonly receivedTs: number
}

/** What a report's reason is sealed under. */
export const reportSealName = (userNumber: number, receivedTs: number): string => `reports ${userNumber} ${receivedTs}`

const lifespan = { kind: 'for', lifetimeMs: lifetimeDays.reports * 86_400_000 } as const

/** Writes a report down; what its reason is sealed with dies when reports do. */
export async function insertReport(
  tx: Tx,
  sealer: Sealer,
  report: {
    readonly userNumber: number
    readonly roomNumber: number | null
    readonly eventId: EventId | null
    readonly reportedNumber: number | null
    readonly reason: string
    readonly score: number | null
    readonly receivedTs: number
  },
): Promise<void> {
  await tx
    .insertInto('reports')
    .values({
      user_number: report.userNumber,
      room_number: report.roomNumber,
      event_id: report.eventId,
      reported_number: report.reportedNumber,
      reason: sealer.seal(
        report.reason,
        sealer.placeFor(lifespan, 'reports'),
        reportSealName(report.userNumber, report.receivedTs),
      ),
      score: report.score,
      received_ts: report.receivedTs,
    })
    .execute()
}

/** Which reports: of events, of rooms, of users. */
export type ReportKind = 'event' | 'room' | 'user'

export interface ReportsWanted {
  readonly kind: ReportKind
  readonly roomId: RoomId | null
  /** Part of the reporter's user ID. */
  readonly reporter: string | null
  /** Part of the user ID of who sent the event or was reported. */
  readonly target: string | null
  readonly direction: 'f' | 'b'
}

const ofKind: Readonly<Record<ReportKind, ReturnType<typeof sql<boolean>>>> = {
  event: sql<boolean>`reports.event_id IS NOT NULL`,
  room: sql<boolean>`reports.room_number IS NOT NULL AND reports.event_id IS NULL`,
  user: sql<boolean>`reports.room_number IS NULL`,
}

function select(reader: Reader, wanted: Pick<ReportsWanted, 'kind'>) {
  return reader
    .selectFrom('reports')
    .innerJoin('users as reporter', 'reporter.user_number', 'reports.user_number')
    .leftJoin('users as target', 'target.user_number', 'reports.reported_number')
    .leftJoin('rooms', 'rooms.room_number', 'reports.room_number')
    .where(ofKind[wanted.kind])
}

function matching(reader: Reader, wanted: ReportsWanted) {
  return select(reader, wanted)
    .$if(wanted.roomId !== null, query => query.where('rooms.room_id', '=', wanted.roomId ?? ''))
    .$if(wanted.reporter !== null, query =>
      query.where(sql<boolean>`strpos(reporter.user_id, ${wanted.reporter ?? ''}) > 0`),
    )
    .$if(wanted.target !== null, query => query.where(sql<boolean>`strpos(target.user_id, ${wanted.target ?? ''}) > 0`))
}

const columns = [
  'reports.report_number', 'reports.user_number', 'reporter.user_id as reporter_id', 'rooms.room_id', 'reports.event_id',
  'target.user_id as target_id', 'reports.reason', 'reports.score', 'reports.received_ts',
] as const // prettier-ignore

interface ReportRow {
  report_number: number
  user_number: number
  reporter_id: string
  room_id: string | null
  event_id: string | null
  target_id: string | null
  reason: Buffer
  score: number | null
  received_ts: number
}

function reportOfRow(sealer: Sealer, row: ReportRow): Report {
  return {
    reportNumber: row.report_number,
    // The columns hold nothing but identifiers that were parsed before they were inserted.
    reporter: row.reporter_id as UserId,
    roomId: row.room_id as RoomId | null,
    eventId: row.event_id === gone ? null : (row.event_id as EventId | null),
    target: row.target_id as UserId | null,
    reason: sealer.open(row.reason, reportSealName(row.user_number, row.received_ts)) ?? '',
    score: row.score,
    receivedTs: row.received_ts,
  }
}

/** A page of reports, in the order of their coming or the newest first, and how many there are in all. */
export async function reports(
  reader: Reader,
  sealer: Sealer,
  wanted: ReportsWanted,
  page: { readonly from: number; readonly limit: number },
): Promise<{ readonly reports: Report[]; readonly total: number }> {
  const [rows, counted] = await Promise.all([
    matching(reader, wanted)
      .select(columns)
      .orderBy('reports.received_ts', wanted.direction === 'b' ? 'desc' : 'asc')
      .orderBy('reports.report_number', wanted.direction === 'b' ? 'desc' : 'asc')
      .offset(page.from)
      .limit(page.limit)
      .execute(),
    matching(reader, wanted)
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow(),
  ])
  return { reports: rows.map(row => reportOfRow(sealer, row)), total: counted.total }
}

/** One report of a kind; `null` if there is none of this number. */
export async function reportOf(
  reader: Reader,
  sealer: Sealer,
  kind: ReportKind,
  reportNumber: number,
): Promise<Report | null> {
  const row = await select(reader, { kind })
    .select(columns)
    .where('reports.report_number', '=', reportNumber)
    .executeTakeFirst()
  return row ? reportOfRow(sealer, row) : null
}

/** Deletes one report of a kind; its key is to be destroyed. False if there was none of this number. */
export async function deleteReport(tx: Tx, kind: ReportKind, reportNumber: number): Promise<boolean> {
  const result = await tx
    .deleteFrom('reports')
    .where(ofKind[kind])
    .where('report_number', '=', reportNumber)
    .returning(sql<Buffer | null>`${sql.raw(sealOfSql('reason'))}`.as('seal'))
    .executeTakeFirst()
  if (!result) return false
  await noteDeadSeals(tx, result.seal === null ? [] : [result.seal])
  return true
}

/** Lets the reports of events that are deleted name them no more. */
export async function forgetReportedEvents(tx: Tx, eventIds: readonly EventId[]): Promise<void> {
  await sql`UPDATE reports SET event_id = ${gone} WHERE event_id = ANY(${[...eventIds]}::text[])`.execute(tx)
}

/** Lets the reports of a user, and of what they sent, name them no more. Returns how many there were. */
export async function forgetReportedUser(tx: Tx, userNumber: number): Promise<number> {
  const result = await tx
    .updateTable('reports')
    .set({ reported_number: null })
    .where('reported_number', '=', userNumber)
    .executeTakeFirst()
  return Number(result.numUpdatedRows)
}

/** Deletes at most `limit` reports from before a time, whose keys die by themselves. Returns how many. */
export async function deleteOldReports(tx: Tx, beforeTs: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM reports WHERE report_number IN (
    SELECT report_number FROM reports WHERE received_ts < ${beforeTs} LIMIT ${limit})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}
