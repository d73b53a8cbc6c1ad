import { sql } from 'kysely'
import { type EventId, type UserId } from '../protocol/identifiers.ts'
import { kept, type Sealer } from '../privacy/seal.ts'
import { type Reader, type Tx } from './database.ts'
import { sealOfSql } from './keyring-row.ts'
import { eventFlags } from './log-entries.ts'
import { namesUser, type Owner } from './own-rows.ts'
import { type ExpiredEvent } from './sweep.ts'

/** How many rows, by table. */
export type RowCounts = Readonly<Record<string, number>>

/** What erasing came to, as the receipt tells it. */
export interface ErasureCounts {
  readonly deleted: RowCounts
  readonly pruned: RowCounts
  /** Known when all is done. */
  readonly kept: RowCounts
}

/** The erasing of an account. */
export interface Erasure extends Owner {
  /** YYYY-MM-DD. */
  readonly askedOn: string
  /** `null` while it is under way. */
  readonly finishedOn: string | null
  /** The last room that has been walked. */
  readonly roomNumber: number
  /** How far the walk has come in the next. */
  readonly position: number
  readonly counts: ErasureCounts
}

interface ErasureRow {
  user_id: string
  user_number: number
  asked_on: string
  finished_on: string | null
  room_number: number
  position: number
  counts: string
}

function erasureOfRow(row: ErasureRow): Erasure {
  return {
    // The column holds nothing but user IDs that were parsed before they were inserted.
    userId: row.user_id as UserId,
    userNumber: row.user_number,
    askedOn: row.asked_on,
    finishedOn: row.finished_on,
    roomNumber: row.room_number,
    position: row.position,
    // The column holds what `JSON.stringify` made of just that.
    counts: JSON.parse(row.counts) as ErasureCounts,
  }
}

const selectErasures = (reader: Reader) =>
  reader
    .selectFrom('erasures as x')
    .innerJoin('users as u', 'u.user_number', 'x.user_number')
    .select(['u.user_id', 'x.user_number', 'x.asked_on', 'x.finished_on', 'x.room_number', 'x.position', 'x.counts'])

/** Notes that an account is to be erased. False, and nothing happens, if that is noted already. */
export async function insertErasure(
  tx: Tx,
  userNumber: number,
  erasure: { readonly receiptHash: Buffer; readonly askedOn: string; readonly counts: ErasureCounts; readonly expiresTs: number }, // prettier-ignore
): Promise<boolean> {
  const result = await tx
    .insertInto('erasures')
    .values({
      user_number: userNumber,
      receipt_hash: erasure.receiptHash,
      asked_on: erasure.askedOn,
      counts: JSON.stringify(erasure.counts),
      expires_ts: erasure.expiresTs,
    })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** The erasures that are under way, the oldest first. */
export async function unfinishedErasures(reader: Reader): Promise<Erasure[]> {
  const rows = await selectErasures(reader)
    .where('x.finished_on', 'is', null)
    .orderBy('x.asked_on')
    .orderBy('x.user_number')
    .execute()
  return rows.map(erasureOfRow)
}

/** Whether the erasing of a user's account has begun and has not come to its end. */
export async function isBeingErased(reader: Reader, userNumber: number): Promise<boolean> {
  const row = await reader
    .selectFrom('erasures')
    .select('user_number')
    .where('user_number', '=', userNumber)
    .where('finished_on', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

/** The erasure whose receipt has this token, if it has not been fetched and has not expired at `nowTs`. */
export async function erasureByReceipt(reader: Reader, receiptHash: Buffer, nowTs: number): Promise<Erasure | null> {
  const row = await selectErasures(reader)
    .where('x.receipt_hash', '=', receiptHash)
    .where(({ eb, or }) => or([eb('x.finished_on', 'is', null), eb('x.expires_ts', '>', nowTs)]))
    .executeTakeFirst()
  return row ? erasureOfRow(row) : null
}

/** Deletes a receipt that is being handed over. False if somebody else was faster, or it is not finished. */
export async function deleteReceipt(tx: Tx, receiptHash: Buffer): Promise<boolean> {
  const result = await tx
    .deleteFrom('erasures')
    .where('receipt_hash', '=', receiptHash)
    .where('finished_on', 'is not', null)
    .executeTakeFirst()
  return result.numDeletedRows === 1n
}

/** Deletes receipts that nobody has fetched in time; returns how many. */
export async function deleteExpiredReceipts(tx: Tx, nowTs: number): Promise<number> {
  const result = await tx
    .deleteFrom('erasures')
    .where('finished_on', 'is not', null)
    .where('expires_ts', '<=', nowTs)
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}

/** Writes down what a step of the work did, and how far it has come, in the step's own transaction. */
export async function noteErasure(
  tx: Tx,
  userNumber: number,
  step: { readonly counts: ErasureCounts; readonly roomNumber?: number; readonly position?: number },
): Promise<void> {
  await tx
    .updateTable('erasures')
    .set({
      counts: JSON.stringify(step.counts),
      ...(step.roomNumber === undefined ? {} : { room_number: step.roomNumber }),
      ...(step.position === undefined ? {} : { position: step.position }),
    })
    .where('user_number', '=', userNumber)
    .execute()
}

/** Marks an erasure as done: its receipt waits until `expiresTs`. */
export async function finishErasure(
  tx: Tx,
  userNumber: number,
  done: { readonly counts: ErasureCounts; readonly finishedOn: string; readonly expiresTs: number },
): Promise<void> {
  await tx
    .updateTable('erasures')
    .set({ counts: JSON.stringify(done.counts), finished_on: done.finishedOn, expires_ts: done.expiresTs })
    .where('user_number', '=', userNumber)
    .execute()
}

/** An event that the erased user sent, or that is about them by its state key. */
export interface EventToErase extends ExpiredEvent {
  readonly position: number | null
  readonly isState: boolean
  readonly isPruned: boolean
  /** Whether it is part of the room's present state. */
  readonly isCurrent: boolean
  /** Whether its state key is or has in it the user's ID. */
  readonly isAboutUser: boolean
}

interface EventToEraseRow {
  event_number: number
  event_id: string
  position: number | null
  snapshot_number: number | null
  is_extremity: boolean
  is_state: boolean
  is_pruned: boolean
  is_current: boolean
  is_about_user: boolean
}

/**
 * Up to `limit` events of a room that the user sent or that are about them, in the order of the timeline after a position;
 * `after` null: those that have no place in it.
 */
export async function eventsToErase(
  reader: Reader,
  roomNumber: number,
  { userId, userNumber }: Owner,
  after: number | null,
  limit: number,
): Promise<EventToErase[]> {
  const isAfter = after === null ? sql`e.position IS NULL` : sql`e.position > ${after}`
  const isAbout = namesUser(sql.ref('k.state_key'), userId)
  const { rows } = await sql<EventToEraseRow>`SELECT e.event_number, e.event_id, e.position, e.snapshot_number,
      e.event_number = ANY (r.forward_extremities) AS is_extremity, e.state_key_number IS NOT NULL AS is_state,
      e.flags & ${eventFlags.redacted} <> 0 AS is_pruned,
      EXISTS (SELECT FROM current_state c WHERE c.event_number = e.event_number) AS is_current,
      coalesce(${isAbout}, false) AS is_about_user
    FROM rooms r JOIN events e USING (room_number) LEFT JOIN state_keys k USING (state_key_number)
    WHERE r.room_number = ${roomNumber} AND ${isAfter}
      AND (e.sender_number = ${userNumber} OR ${isAbout})
    ORDER BY e.position LIMIT ${limit}`.execute(reader)
  return rows.map(row => ({
    eventNumber: row.event_number,
    roomNumber,
    // The column holds nothing but event IDs that were parsed before they were inserted.
    eventId: row.event_id as EventId,
    position: row.position,
    snapshotNumber: row.snapshot_number,
    isExtremity: row.is_extremity,
    isState: row.is_state,
    isPruned: row.is_pruned,
    isCurrent: row.is_current,
    isAboutUser: row.is_about_user,
  }))
}

/** Leaves of events of a room their pruned form; the keys of what they said are to be destroyed. */
export async function pruneInPlace(
  tx: Tx,
  sealer: Sealer,
  roomNumber: number,
  pruned: readonly { readonly eventNumber: number; readonly eventId: EventId; readonly body: string }[],
): Promise<void> {
  if (pruned.length === 0) return
  const numbers = pruned.map(event => event.eventNumber)
  const stubs = pruned.map(({ eventId, body }) => sealer.seal(body, sealer.placeFor(kept, roomNumber), eventId))
  await sql`INSERT INTO dead_seals SELECT seal FROM events e
    CROSS JOIN LATERAL (SELECT unnest(ARRAY[${sql.raw(sealOfSql('e.body'))}, ${sql.raw(sealOfSql('e.pruned'))}]) AS seal) s
    WHERE e.event_number = ANY(${numbers}) AND seal IS NOT NULL ON CONFLICT DO NOTHING`.execute(tx)
  await sql`UPDATE events SET body = stub.body, pruned = NULL, seal_bucket = NULL, flags = flags | ${eventFlags.redacted}
    FROM unnest(${numbers}::bigint[], ${stubs}::bytea[]) AS stub (number, body)
    WHERE event_number = stub.number`.execute(tx)
}

/** Tables of which others hold a foreign key come after those others, so that deleting in this order counts every row. */
export async function childrenFirst(reader: Reader, tables: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ child: string; parent: string }>`SELECT conrelid::regclass::text AS child,
    confrelid::regclass::text AS parent FROM pg_constraint WHERE contype = 'f'`.execute(reader)
  const ordered = new Set<string>()
  const visit = (table: string) => {
    if (ordered.has(table) || !tables.includes(table)) return
    for (const { child, parent } of rows) if (parent === table && child !== table) visit(child)
    ordered.add(table)
  }
  tables.forEach(visit)
  return [...ordered]
}

/** How many events a user has sent. */
export async function countEventsBy(reader: Reader, userNumber: number): Promise<number> {
  const row = await reader
    .selectFrom('events')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('sender_number', '=', userNumber)
    .executeTakeFirstOrThrow()
  return row.count
}

/** How many events of a user the erasing of the account has dealt with so far. */
export async function eventsErased(reader: Reader, userNumber: number): Promise<number> {
  const row = await selectErasures(reader).where('x.user_number', '=', userNumber).executeTakeFirst()
  if (!row) return 0
  const { deleted, pruned } = erasureOfRow(row).counts
  return (deleted['events'] ?? 0) + (pruned['events'] ?? 0)
}
