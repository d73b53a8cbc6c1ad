import { type Context } from '../context.ts'
import { lifetimeDays } from '../privacy/lifetimes.ts'
import { deleteOldAuditedUses } from '../storage/admin-audit.ts'
import { deleteOldJobs } from '../storage/background-jobs.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { deleteExpiredProbes } from '../storage/doctor-probes.ts'
import { deleteExpiredReceipts } from '../storage/erasures.ts'
import { deleteExpiredInteractiveAuthSessions } from '../storage/interactive-auth.ts'
import { deleteExpiredJoinLinks } from '../storage/join-links.ts'
import { deleteExpiredPageSessions } from '../storage/page-sessions.ts'
import { deleteOldReports } from '../storage/reports.ts'
import {
  deleteExpiredSessions, deleteOldLogDays, deleteOldLogEntries, deleteOldToDeviceMessages, deleteOldTransactions,
  noteLogDay,
} from '../storage/sweep-rows.ts' // prettier-ignore
import { deleteExpiredLoginTokens } from '../storage/tokens.ts'

/** How many rows one transaction deletes at most. */
const rowBatchSize = 1_000

export const dayMs = 24 * 60 * 60 * 1000

/** The date (YYYY-MM-DD) of a time in milliseconds since the epoch. */
export function dateOf(ts: number): string {
  return new Date(ts).toISOString().slice(0, 10)
}

/** Deletes the rows of which age alone decides. Returns how many there were. */
export async function sweepRows(ctx: Context, signal: AbortSignal): Promise<number> {
  const nowTs = ctx.clock.now()
  const tsBefore = (days: number) => nowTs - days * dayMs
  const daysAgo = (days: number) => dateOf(tsBefore(days))
  await transaction(ctx.db, tx => noteLogDay(tx, daysAgo(0)))
  const steps: ((tx: Tx) => Promise<number>)[] = [
    tx => deleteOldTransactions(tx, daysAgo(lifetimeDays.transactions), rowBatchSize),
    tx => deleteOldToDeviceMessages(tx, daysAgo(lifetimeDays.to_device_messages), rowBatchSize),
    tx => deleteOldLogEntries(tx, daysAgo(lifetimeDays.log), rowBatchSize),
    tx => deleteOldLogDays(tx, daysAgo(lifetimeDays.log_days)),
    tx => deleteExpiredSessions(tx, nowTs, rowBatchSize),
    tx => deleteExpiredLoginTokens(tx, nowTs),
    tx => deleteExpiredJoinLinks(tx, nowTs),
    tx => deleteExpiredInteractiveAuthSessions(tx, nowTs, rowBatchSize),
    tx => deleteExpiredPageSessions(tx, nowTs),
    tx => deleteExpiredReceipts(tx, nowTs),
    tx => deleteExpiredProbes(tx, nowTs),
    tx => deleteOldAuditedUses(tx, tsBefore(lifetimeDays.admin_audit), rowBatchSize),
    tx => deleteOldJobs(tx, tsBefore(lifetimeDays.background_jobs), rowBatchSize),
    tx => deleteOldReports(tx, tsBefore(lifetimeDays.reports), rowBatchSize),
  ]
  let count = 0
  for (const step of steps) {
    for (let batch = rowBatchSize; batch >= rowBatchSize && !signal.aborted; count += batch) {
      batch = await transaction(ctx.db, step)
    }
  }
  return count
}
