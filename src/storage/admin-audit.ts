import { sql } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'

/** One use of an endpoint for administrators. */
export interface AuditedUse {
  readonly method: string
  /** The pattern of the path. */
  readonly endpoint: string
  /** 16 bytes; `null` for an endpoint without parameters. */
  readonly targetHash: Buffer | null
  /** Milliseconds since the epoch, at the start of a minute. */
  readonly minuteTs: number
}

/** Writes a use down. */
export async function insertAuditedUse(tx: Tx, userNumber: number, use: AuditedUse): Promise<void> {
  await tx
    .insertInto('admin_audit')
    .values({
      user_number: userNumber,
      method: use.method,
      endpoint: use.endpoint,
      target_hash: use.targetHash,
      minute_ts: use.minuteTs,
    })
    .execute()
}

/** A page of the uses, the newest first: those before the number `before`, and of one target if a hash is given. */
export async function auditedUses(
  reader: Reader,
  wanted: { readonly before: number | null; readonly targetHash: Buffer | null; readonly limit: number },
): Promise<(AuditedUse & { readonly useNumber: number; readonly userId: UserId })[]> {
  const rows = await reader
    .selectFrom('admin_audit')
    .innerJoin('users', 'users.user_number', 'admin_audit.user_number')
    .select(['use_number', 'user_id', 'method', 'endpoint', 'target_hash', 'minute_ts'])
    .$if(wanted.before !== null, query => query.where('use_number', '<', wanted.before ?? 0))
    .$if(wanted.targetHash !== null, query => query.where('target_hash', '=', wanted.targetHash))
    .orderBy('use_number', 'desc')
    .limit(wanted.limit)
    .execute()
  return rows.map(row => ({
    useNumber: row.use_number,
    // The column holds nothing but user IDs that were parsed before they were inserted.
    userId: row.user_id as UserId,
    method: row.method,
    endpoint: row.endpoint,
    targetHash: row.target_hash,
    minuteTs: row.minute_ts,
  }))
}

/** Deletes at most `limit` uses from before a time. Returns how many. */
export async function deleteOldAuditedUses(tx: Tx, beforeTs: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM admin_audit WHERE use_number IN (
    SELECT use_number FROM admin_audit WHERE minute_ts < ${beforeTs} LIMIT ${limit})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}
