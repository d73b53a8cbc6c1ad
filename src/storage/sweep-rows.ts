import { sql } from 'kysely'
import { type Reader, type Tx } from './database.ts'
import { logKinds } from './log-entries.ts'

/** Deletes what is remembered of requests before a date (YYYY-MM-DD); at most `limit`. Returns how many. */
export async function deleteOldTransactions(tx: Tx, before: string, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM transactions WHERE request_hash IN (
    SELECT request_hash FROM transactions WHERE sent_on < ${before}::date LIMIT ${limit})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}

/** Deletes to-device messages that were sent before a date (YYYY-MM-DD) and never fetched; at most `limit`. Returns how many. */
export async function deleteOldToDeviceMessages(tx: Tx, before: string, limit: number): Promise<number> {
  // The oldest have the lowest positions, so no more than these need be looked at.
  const { numAffectedRows } = await sql`DELETE FROM to_device_messages m USING (
      SELECT position, sent_on FROM to_device_messages ORDER BY position LIMIT ${limit}) oldest
    WHERE m.position = oldest.position AND oldest.sent_on < ${before}::date`.execute(tx)
  return Number(numAffectedRows ?? 0)
}

/**
 * Deletes sessions that can be refreshed no more, and their access tokens that have expired; at most `limit` sessions. Returns
 * how many.
 */
export async function deleteExpiredSessions(tx: Tx, nowTs: number, limit: number): Promise<number> {
  const { rows } = await sql<{ ended: number }>`WITH ended AS (
      DELETE FROM refresh_tokens WHERE family_hash IN (
        SELECT family_hash FROM refresh_tokens WHERE expires_ts <= ${nowTs} LIMIT ${limit})
      RETURNING user_number, device_id),
    expired AS (
      DELETE FROM access_tokens a USING ended
      WHERE a.user_number = ended.user_number AND a.device_id = ended.device_id AND a.expires_ts <= ${nowTs})
    SELECT count(*) AS ended FROM ended`.execute(tx)
  return rows[0]?.ended ?? 0
}

/** The newest day (YYYY-MM-DD) of which it was noted where the log stood: that of the last sweep. `null` before the first. */
export async function newestLogDay(reader: Reader): Promise<string | null> {
  const row = await reader
    .selectFrom('log_days')
    .select(({ fn }) => fn.max('day').as('day'))
    .executeTakeFirst()
  return row?.day ?? null
}

/** Notes where the log stands today (YYYY-MM-DD), unless that is noted already, or a later day is: the clock has been set
 *  back, and what is new now would pass for old when it is right again. */
export async function noteLogDay(tx: Tx, today: string): Promise<void> {
  await sql`INSERT INTO log_days (day, position) SELECT ${today}::date, position FROM log_head
    WHERE NOT EXISTS (SELECT FROM log_days WHERE day > ${today}::date) ON CONFLICT DO NOTHING`.execute(tx)
}

/**
 * Deletes entries of the log that were written before a date (YYYY-MM-DD) and are not of events: what they tell of stands in
 * tables of their own. At most `limit`; returns how many.
 */
export async function deleteOldLogEntries(tx: Tx, before: string, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM log WHERE position IN (
    SELECT position FROM log WHERE kind <> ${sql.lit(logKinds.event)}
      AND position <= (SELECT max(position) FROM log_days WHERE day < ${before}::date)
    ORDER BY position LIMIT ${limit})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}

/** Deletes the notes of the days before a date (YYYY-MM-DD), but for the newest of them. Returns how many. */
export async function deleteOldLogDays(tx: Tx, before: string): Promise<number> {
  const { numAffectedRows } =
    await sql`DELETE FROM log_days WHERE day < (SELECT max(day) FROM log_days WHERE day < ${before}::date)`.execute(tx)
  return Number(numAffectedRows ?? 0)
}
