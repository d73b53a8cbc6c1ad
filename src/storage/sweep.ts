import { sql } from 'kysely'
import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { kept, keptBucket, type Sealer } from '../privacy/seal.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { sealOfSql } from './keyring-row.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { eventFlags, logKinds, type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'
import { forgetReportedEvents } from './reports.ts'

/** A room, by both of its names. */
export interface SweptRoom {
  readonly roomNumber: number
  readonly roomId: RoomId
}

interface RoomRow {
  room_number: number
  room_id: string
}

const allRooms = statement<[number, number], RoomRow>(
  'sweep_all_rooms',
  'SELECT room_number, room_id FROM rooms WHERE room_number > $1 ORDER BY room_number LIMIT $2',
)
const roomsWithPolicy = statement<[number, number, readonly string[], readonly string[]], RoomRow>(
  'sweep_rooms_with_policy',
  `SELECT room_number, room_id FROM rooms WHERE room_number > $1 AND room_number IN (
     SELECT c.room_number FROM current_state c JOIN event_types y USING (type_number) WHERE y.type = ANY($3)
     UNION SELECT room_number FROM retention_overrides
     UNION SELECT room_number FROM rooms WHERE room_id = ANY($4))
   ORDER BY room_number LIMIT $2`,
)

/** Which rooms may have a policy: every room, or those with a state event of these types, those of an administrator's and those named. */
export type RoomsWanted = 'all' | { readonly stateTypes: readonly string[]; readonly roomIds: readonly string[] }

/** Up to `limit` of the rooms that are wanted, those after a number, in the order of their numbers. */
export async function roomsAfter(
  reader: Reader,
  after: number,
  limit: number,
  wanted: RoomsWanted,
): Promise<SweptRoom[]> {
  const rows =
    wanted === 'all'
      ? await allRooms.run(reader, [after, limit])
      : await roomsWithPolicy.run(reader, [after, limit, wanted.stateTypes, wanted.roomIds])
  // The column holds nothing but room IDs that were parsed before they were inserted.
  return rows.map(row => ({ roomNumber: row.room_number, roomId: row.room_id as RoomId }))
}

const statesOfTypes = statement<[readonly number[], readonly string[]], EventRow>(
  'sweep_states_of_types',
  `SELECT ${eventColumns} FROM current_state c
   JOIN event_types y ON y.type_number = c.type_number AND y.type = ANY($2)
   JOIN state_keys k ON k.state_key_number = c.state_key_number AND k.state_key = ''
   JOIN events e ON e.event_number = c.event_number ${eventJoins} WHERE c.room_number = ANY($1)`,
)

/** The rooms' current state events of these types with an empty state key, by room number. */
export async function stateEventsOf(
  reader: Reader,
  numbers: Numbers,
  roomNumbers: readonly number[],
  types: readonly string[],
): Promise<Map<number, StoredEvent[]>> {
  const found = new Map<number, StoredEvent[]>()
  if (roomNumbers.length === 0) return found
  for (const event of await storedEvents(await statesOfTypes.run(reader, [roomNumbers, types]), numbers)) {
    found.set(event.roomNumber, [...(found.get(event.roomNumber) ?? []), event])
  }
  return found
}

/**
 * Events `e` of the room `r` that may be swept. A forward extremity is what the next event is built on, so it is not deleted but
 * pruned; one that is pruned and that the log does not tell of any more has been dealt with already.
 */
const isSweepable = `e.state_key_number IS NULL
  AND NOT (e.event_number = ANY (r.forward_extremities) AND e.flags & ${eventFlags.redacted} <> 0
    AND NOT EXISTS (SELECT FROM log l WHERE l.position = e.position AND l.reference = e.event_number))`

/** A room, and the age below which its messages have expired. */
export interface Cutoff extends SweptRoom {
  readonly cutoffTs: number
  /** The bucket of what expires now. */
  readonly passingBucket: number
}

const withExpired = statement<[readonly number[], readonly number[]], { room_number: number; oldest: number }>(
  'sweep_rooms_with_expired',
  `SELECT r.room_number, due.age_ts AS oldest FROM unnest($1::integer[], $2::bigint[]) AS w (room_number, cutoff)
   JOIN rooms r USING (room_number) CROSS JOIN LATERAL (SELECT e.age_ts FROM events e
     WHERE e.room_number = r.room_number AND e.age_ts < w.cutoff AND ${isSweepable} ORDER BY e.age_ts LIMIT 1) due`,
)

/** Those of the rooms that have messages of an age below the room's cutoff, by number, with the age of the oldest. */
export async function roomsWithExpired(reader: Reader, rooms: readonly Cutoff[]): Promise<Map<number, number>> {
  if (rooms.length === 0) return new Map()
  const rows = await withExpired.run(reader, [rooms.map(room => room.roomNumber), rooms.map(room => room.cutoffTs)])
  return new Map(rows.map(row => [row.room_number, row.oldest]))
}

const withTimedOut = statement<[number, number], RoomRow & { oldest: number }>(
  'sweep_rooms_with_timed_out',
  `SELECT room_number, room_id, min(self_destruct_ts) AS oldest FROM (
     SELECT r.room_number, r.room_id, e.self_destruct_ts FROM events e JOIN rooms r USING (room_number)
     WHERE e.self_destruct_ts < $1 AND ${isSweepable} ORDER BY e.self_destruct_ts LIMIT $2) due
   GROUP BY room_number, room_id`,
)

/** The rooms of the messages whose own time was over first, at most `limit`, each with the time of the first. */
export async function roomsWithTimedOut(
  reader: Reader,
  nowTs: number,
  limit: number,
): Promise<(SweptRoom & { readonly oldestTs: number })[]> {
  const rows = await withTimedOut.run(reader, [nowTs, limit])
  // As in `roomsAfter`.
  return rows.map(row => ({ roomNumber: row.room_number, roomId: row.room_id as RoomId, oldestTs: row.oldest }))
}

/** An event that has come to its end. */
export interface ExpiredEvent {
  readonly eventNumber: number
  readonly roomNumber: number
  readonly eventId: EventId
  readonly position: number | null
  readonly snapshotNumber: number | null
  /** True if the next event of the room may be built on it. */
  readonly isExtremity: boolean
}

interface ExpiredRow {
  event_number: number
  room_number: number
  event_id: string
  position: number | null
  snapshot_number: number | null
  is_extremity: boolean
}

const expiredColumns = `e.event_number, e.room_number, e.event_id, e.position, e.snapshot_number,
  e.event_number = ANY (r.forward_extremities) AS is_extremity`

const expired = statement<[readonly number[], readonly number[], number], ExpiredRow>(
  'sweep_expired',
  `SELECT due.* FROM unnest($1::integer[], $2::bigint[]) AS w (room_number, cutoff) JOIN rooms r USING (room_number)
   CROSS JOIN LATERAL (SELECT ${expiredColumns} FROM events e
     WHERE e.room_number = r.room_number AND e.age_ts < w.cutoff AND ${isSweepable} ORDER BY e.age_ts LIMIT $3) due
   LIMIT $3`,
)

const timedOut = statement<[readonly number[], number, number], ExpiredRow>(
  'sweep_timed_out',
  `SELECT ${expiredColumns} FROM events e JOIN rooms r USING (room_number)
   WHERE e.self_destruct_ts < $2 AND e.room_number = ANY($1) AND ${isSweepable} ORDER BY e.self_destruct_ts LIMIT $3`,
)

/** Up to `limit` events of the rooms to be swept: messages of an age below the room's cutoff. */
export async function expiredEvents(reader: Reader, rooms: readonly Cutoff[], limit: number): Promise<ExpiredEvent[]> {
  const numbers = rooms.map(room => room.roomNumber)
  return (await expired.run(reader, [numbers, rooms.map(room => room.cutoffTs), limit])).map(expiredEvent)
}

/** Up to `limit` events of the rooms to be swept: messages whose own time was over before now. */
export async function timedOutEvents(
  reader: Reader,
  rooms: readonly SweptRoom[],
  nowTs: number,
  limit: number,
): Promise<ExpiredEvent[]> {
  return (await timedOut.run(reader, [rooms.map(room => room.roomNumber), nowTs, limit])).map(expiredEvent)
}

/**
 * How many messages of the rooms are to be swept, counted up to `limit`: by the rooms' cutoffs, or those whose own time was over
 * before `nowTs`, where that is given.
 */
export async function countExpired(
  reader: Reader,
  rooms: readonly (SweptRoom & { readonly cutoffTs?: number })[],
  nowTs: number | null,
  limit: number,
): Promise<number> {
  if (rooms.length === 0) return 0
  const isDue = nowTs === null ? sql`e.age_ts < w.cutoff` : sql`e.self_destruct_ts < ${nowTs}`
  const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM (
    SELECT FROM unnest(${rooms.map(room => room.roomNumber)}::integer[], ${rooms.map(room => room.cutoffTs ?? 0)}::bigint[])
      AS w (room_number, cutoff) JOIN rooms r USING (room_number) JOIN events e USING (room_number)
    WHERE ${isDue} AND ${sql.raw(isSweepable)} LIMIT ${limit}) due`.execute(reader)
  return rows[0]?.count ?? 0
}

/** How many messages of a room are to be swept now, and how many by each of the times to come; all of them counted up to a limit. */
export interface DueInRoom extends SweptRoom {
  /** As many as there are leads, in their order. */
  readonly counts: readonly number[]
}

interface DueRow extends RoomRow {
  counts: readonly number[]
}

function dueOfRow(row: DueRow): DueInRoom {
  // As in `roomsAfter`.
  return { roomNumber: row.room_number, roomId: row.room_id as RoomId, counts: row.counts }
}

const countsBy = (column: string, leads: readonly number[]) =>
  sql`ARRAY[${sql.join(leads.map(leadMs => sql`(count(*) FILTER (WHERE ${sql.raw(column)} < ${leadMs}::bigint))::integer`))}]`

/**
 * Of the rooms, those that have messages whose lifetime is over within the longest of the `leadsMs`, with how many that are by
 * each of these (0: now), counted up to `limit` a room.
 */
export async function dueByLifetime(
  reader: Reader,
  rooms: readonly Cutoff[],
  leadsMs: readonly number[],
  limit: number,
): Promise<DueInRoom[]> {
  if (rooms.length === 0) return []
  const { rows } = await sql<DueRow>`SELECT r.room_number, r.room_id, ${countsBy('due.lead', leadsMs)} AS counts
    FROM unnest(${rooms.map(room => room.roomNumber)}::integer[], ${rooms.map(room => room.cutoffTs)}::bigint[])
      AS w (room_number, cutoff) JOIN rooms r USING (room_number)
    CROSS JOIN LATERAL (SELECT e.age_ts - w.cutoff AS lead FROM events e WHERE e.room_number = r.room_number
      AND e.age_ts < w.cutoff + ${Math.max(...leadsMs)}::bigint AND ${sql.raw(isSweepable)} ORDER BY e.age_ts LIMIT ${limit}) due
    GROUP BY r.room_number, r.room_id`.execute(reader)
  return rows.map(dueOfRow)
}

/** The same of messages that have a time of their own, counted up to `limit` in all. */
export async function dueByTimer(
  reader: Reader,
  nowTs: number,
  leadsMs: readonly number[],
  limit: number,
): Promise<DueInRoom[]> {
  const { rows } = await sql<DueRow>`SELECT room_number, room_id, ${countsBy('due.lead', leadsMs)} AS counts FROM (
      SELECT r.room_number, r.room_id, e.self_destruct_ts - ${nowTs}::bigint AS lead
      FROM events e JOIN rooms r USING (room_number)
      WHERE e.self_destruct_ts < ${nowTs + Math.max(...leadsMs)}::bigint AND ${sql.raw(isSweepable)}
      ORDER BY e.self_destruct_ts LIMIT ${limit}) due
    GROUP BY room_number, room_id`.execute(reader)
  return rows.map(dueOfRow)
}

function expiredEvent(row: ExpiredRow): ExpiredEvent {
  return {
    eventNumber: row.event_number,
    roomNumber: row.room_number,
    // The column holds nothing but event IDs that were parsed before they were inserted.
    eventId: row.event_id as EventId,
    position: row.position,
    snapshotNumber: row.snapshot_number,
    isExtremity: row.is_extremity,
  }
}

/** What becomes of a batch of events. */
export interface Sweeping {
  readonly events: readonly ExpiredEvent[]
  /** The texts of those that stay, pruned. The others are deleted. */
  readonly pruned: readonly PrunedBody[]
  /** The newest bucket whose keys die soon of themselves: those of later ones are to be destroyed one by one. */
  readonly passingBucket: number
}

/** How long the sweeper waits for a lock: it gives way before Postgres looks for a deadlock, so that no sender waits for it. */
const lockTimeoutMs = 200

/**
 * Deletes events, or leaves their pruned form where a text is given, and everything that points to them: receipts, read
 * markers, transaction IDs, relations, reports, entries of the log, references of redactions, snapshots of the state that nothing else
 * refers to. The transaction must be of the isolation level repeatable read, so that what was found is what is deleted.
 */
export async function forgetEvents(tx: Tx, sealer: Sealer, { events, pruned, passingBucket }: Sweeping): Promise<void> {
  const numbers = events.map(event => event.eventNumber)
  const ids = events.map(event => event.eventId)
  const positions = events.flatMap(({ position }) => (position !== null && position > 0 ? [position] : []))
  const staying = new Set(pruned.map(event => event.eventNumber))
  const deleted = events.filter(event => !staying.has(event.eventNumber))

  await sql`SELECT set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true)`.execute(tx)
  // Account data, receipts, events: in the order in which the log's own transactions lock them.
  await sql`DELETE FROM account_data WHERE event_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM receipts WHERE event_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM transactions WHERE event_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM event_relations WHERE parent_id = ANY(${ids})`.execute(tx)
  await sql`DELETE FROM event_relations WHERE child_number = ANY(${numbers})`.execute(tx)
  await sql`DELETE FROM media_references WHERE event_number = ANY(${numbers})`.execute(tx)
  await forgetReportedEvents(tx, ids)
  await sql`DELETE FROM log WHERE position = ANY(${positions}) AND kind = ${logKinds.event}`.execute(tx)
  await sql`UPDATE events SET redacted_by = NULL WHERE redacted_by = ANY(${numbers})`.execute(tx)
  await killSeals(tx, numbers, passingBucket)
  await sql`UPDATE events SET redacted_by = NULL WHERE event_number = ANY(${[...staying]}::bigint[]) AND redacted_by IS NOT NULL`.execute(tx) // prettier-ignore
  await pruneBodies(tx, sealer, pruned)
  await sql`DELETE FROM events WHERE event_number = ANY(${deleted.map(event => event.eventNumber)})`.execute(tx)
  const bases = await forgetSnapshots(tx, deleted.flatMap(event => event.snapshotNumber ?? [])) // prettier-ignore
  await forgetSnapshots(tx, bases)
}

const superseded = statement<[readonly number[], readonly number[], number], { event_number: number }>(
  'sweep_superseded',
  `SELECT due.* FROM unnest($1::integer[], $2::bigint[]) AS w (room_number, cutoff)
   CROSS JOIN LATERAL (SELECT s.event_number FROM superseded_state s
     WHERE s.room_number = w.room_number AND s.age_ts < w.cutoff ORDER BY s.age_ts LIMIT $3) due LIMIT $3`,
)

/** Up to `limit` state events of the rooms, by number, that others took the place of and that are older than the room's cutoff. */
export async function staleStates(reader: Reader, rooms: readonly Cutoff[], limit: number): Promise<number[]> {
  if (rooms.length === 0) return []
  const cutoffs = rooms.map(room => room.cutoffTs)
  const rows = await superseded.run(reader, [rooms.map(room => room.roomNumber), cutoffs, limit])
  return rows.map(row => row.event_number)
}

/** Those of the state events that are current, be it again: they stay as they are. */
export async function currentAmong(reader: Reader, eventNumbers: readonly number[]): Promise<Set<number>> {
  const rows = await reader
    .selectFrom('current_state')
    .select('event_number')
    .where(sql<boolean>`event_number = ANY(${[...eventNumbers]}::bigint[])`)
    .execute()
  return new Set(rows.map(row => row.event_number))
}

/** Leaves state events' pruned form where a text is given, and looks at none of them again. */
export async function pruneStates(
  tx: Tx,
  sealer: Sealer,
  eventNumbers: readonly number[],
  pruned: readonly PrunedBody[],
): Promise<void> {
  const prunedNumbers = pruned.map(event => event.eventNumber)
  await sql`SELECT set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true)`.execute(tx)
  await sql`DELETE FROM media_references WHERE event_number = ANY(${prunedNumbers})`.execute(tx)
  // State has no bucket: each key is destroyed by itself. That of the pruned form lives: in an older copy of the database the
  // event may still be part of the room's state.
  await sql`INSERT INTO dead_seals SELECT seal FROM events e
    CROSS JOIN LATERAL (SELECT ${sql.raw(sealOfSql('e.body'))} AS seal) s
    WHERE e.event_number = ANY(${prunedNumbers}) AND seal IS NOT NULL ON CONFLICT DO NOTHING`.execute(tx)
  await pruneBodies(tx, sealer, pruned)
  await sql`DELETE FROM superseded_state WHERE event_number = ANY(${[...eventNumbers]})`.execute(tx)
}

/** An event that stays, pruned: `body` is its text. */
export interface PrunedBody {
  readonly eventNumber: number
  readonly eventId: EventId
  readonly roomNumber: number
  readonly body: string
}

/** The one statement by which the sweeper overwrites what an event says. */
async function pruneBodies(tx: Tx, sealer: Sealer, pruned: readonly PrunedBody[]): Promise<void> {
  const stubs = pruned.map(({ eventId, roomNumber, body }) => sealer.seal(body, sealer.placeFor(kept, roomNumber), eventId)) // prettier-ignore
  await sql`UPDATE events SET body = coalesce(pruned, stub.body), pruned = NULL, seal_bucket = NULL,
      flags = flags | ${eventFlags.redacted}
    FROM unnest(${pruned.map(event => event.eventNumber)}::bigint[], ${stubs}::bytea[]) AS stub (number, body)
    WHERE event_number = stub.number`.execute(tx)
}

/** Notes the keys of events that are about to be deleted or overwritten, but for those that die soon of themselves. */
export async function killSeals(tx: Tx, eventNumbers: readonly number[], passingBucket: number): Promise<void> {
  await sql`INSERT INTO dead_seals SELECT seal FROM events e
    CROSS JOIN LATERAL (SELECT unnest(ARRAY[${sql.raw(sealOfSql('e.body'))}, ${sql.raw(sealOfSql('e.pruned'))}]) AS seal) s
    WHERE e.event_number = ANY(${[...eventNumbers]}) AND coalesce(e.seal_bucket, ${keptBucket}) > ${passingBucket}
      AND seal IS NOT NULL ON CONFLICT DO NOTHING`.execute(tx)
}

/** Deletes those of the snapshots that nothing refers to; returns the numbers of those under them. */
async function forgetSnapshots(tx: Tx, snapshotNumbers: readonly number[]): Promise<number[]> {
  if (snapshotNumbers.length === 0) return []
  const { rows } = await sql<{ base_number: number | null }>`DELETE FROM state_snapshots s
    WHERE s.snapshot_number = ANY(${[...new Set(snapshotNumbers)]})
      AND NOT EXISTS (SELECT FROM events e WHERE e.snapshot_number = s.snapshot_number)
      AND NOT EXISTS (SELECT FROM rooms r WHERE r.room_number = s.room_number AND r.snapshot_number = s.snapshot_number)
      AND NOT EXISTS (SELECT FROM state_snapshots d WHERE d.base_number = s.snapshot_number)
    RETURNING s.base_number`.execute(tx)
  return rows.flatMap(row => row.base_number ?? [])
}

/** An event whose key is about to die though it lives on: its room's messages live longer now than when it came. */
export interface Survivor {
  readonly eventNumber: number
  readonly eventId: EventId
  readonly roomNumber: number
  readonly roomId: RoomId
  readonly ageTs: number
  readonly body: Buffer
}

/** Up to `limit` events whose keys die with the buckets up to this one, locked against changes. */
export async function eventsSealedThrough(tx: Tx, bucket: number, limit: number): Promise<Survivor[]> {
  const rows = await tx
    .selectFrom('events as e')
    .innerJoin('rooms as r', 'r.room_number', 'e.room_number')
    .select(['e.event_number', 'e.event_id', 'e.room_number', 'r.room_id', 'e.age_ts', 'e.body'])
    .where('e.seal_bucket', '<=', bucket)
    .orderBy('e.seal_bucket')
    .limit(limit)
    .forUpdate('e')
    .execute()
  return rows.map(row => ({
    eventNumber: row.event_number,
    // The columns hold nothing but identifiers that were parsed before they were inserted.
    eventId: row.event_id as EventId,
    roomNumber: row.room_number,
    roomId: row.room_id as RoomId,
    ageTs: row.age_ts,
    body: row.body,
  }))
}

/** Puts bodies that were sealed anew in place of those before. `bucket` null: the key has no end of its own. */
export async function replaceBodies(
  tx: Tx,
  bodies: readonly { readonly eventNumber: number; readonly body: Buffer; readonly bucket: number | null }[],
): Promise<void> {
  if (bodies.length === 0) return
  await sql`UPDATE events SET body = new.body, seal_bucket = new.bucket
    FROM unnest(${bodies.map(each => each.eventNumber)}::bigint[], ${bodies.map(each => each.body)}::bytea[],
      ${bodies.map(each => each.bucket)}::integer[]) AS new (number, body, bucket)
    WHERE event_number = new.number`.execute(tx)
}
