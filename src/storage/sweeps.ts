import { type Logger } from '../log.ts'
import { type Database, openClient, transaction } from './database.ts'

/** What the sweeper last did; `null`s before it ever did. */
export interface SweepRecord {
  /** When the last one began; milliseconds since the epoch. */
  readonly startedTs: number | null
  /** When the last that came to its end did so, how long it took, and how many things of each kind it deleted. */
  readonly endedTs: number | null
  readonly durationMs: number | null
  readonly deleted: Readonly<Record<string, number>>
}

/** Notes that a sweep begins. */
export async function noteSweepStart(db: Database, startedTs: number): Promise<void> {
  await transaction(db, tx => tx.updateTable('sweeps').set({ started_ts: startedTs }).execute())
}

/** Notes that a sweep has come to its end. */
export async function noteSweepEnd(
  db: Database,
  endedTs: number,
  durationMs: number,
  deleted: Readonly<Record<string, number>>,
): Promise<void> {
  const values = { ended_ts: endedTs, duration_ms: Math.round(durationMs), deleted: JSON.stringify(deleted) }
  await transaction(db, tx => tx.updateTable('sweeps').set(values).execute())
}

/** What was noted last. */
export async function lastSweep(db: Database): Promise<SweepRecord> {
  const row = await db.kysely.selectFrom('sweeps').selectAll().executeTakeFirst()
  return {
    startedTs: row?.started_ts ?? null,
    endedTs: row?.ended_ts ?? null,
    durationMs: row?.duration_ms ?? null,
    // Written by `noteSweepEnd`.
    deleted: row ? (JSON.parse(row.deleted) as Record<string, number>) : {},
  }
}

/** The tables that the sweeper deletes most from. */
const hotTables = ['events', 'log', 'transactions', 'receipts', 'event_relations', 'account_data', 'to_device_messages', 'superseded_state', 'state_snapshots'] // prettier-ignore

/**
 * Gives the room of deleted rows free: what is written next overwrites them. It works slowly on purpose, on a connection of its
 * own, so that those who are being served do not notice.
 */
export async function vacuumHotTables(db: Database, logger: Logger): Promise<void> {
  const client = await openClient(db.connection, logger)
  try {
    await client.query(`SET statement_timeout = 0; SET vacuum_cost_delay = '2ms'`)
    for (const table of hotTables) await client.query(`VACUUM ${table}`)
  } finally {
    await client.end()
  }
}
