import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { type Lifetime } from '../protocol/retention.ts'
import { type Database, transaction } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvent } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { retentionOverrideOf } from './retention-overrides.ts'
import { type Numbers, type RoomFacts } from './numbers.ts'
import { sql } from 'kysely'

/** The state snapshot that a room stands at, as a difference to a full one. */
export interface HeadSnapshot {
  readonly snapshotNumber: number
  /** The full snapshot under it; the same number if this one is full. */
  readonly fullNumber: number
  /** Event numbers; both empty if this one is full. */
  readonly added: readonly number[]
  readonly removed: readonly number[]
}

/** Where a room stands: what the next event is built on. */
export interface LoadedHead {
  readonly facts: RoomFacts
  readonly version: number
  readonly depth: number
  readonly forwardExtremities: readonly { readonly eventNumber: number; readonly event: StoredEvent }[]
  /** `null` for a room without state. */
  readonly snapshot: HeadSnapshot | null
  /** The policy that an administrator set for the room. */
  readonly retentionOverride: Lifetime | null
  /** The current state. */
  readonly state: readonly StoredEvent[]
}

/** Reads a room's head, all of it as of one moment; `null` for a room that is not there. */
export async function loadHead(db: Database, numbers: Numbers, roomId: RoomId): Promise<LoadedHead | null> {
  const facts = await numbers.room(roomId)
  if (!facts) return null
  return transaction(
    db,
    async tx => {
      const room = await tx
        .selectFrom('rooms')
        .select(['head_version', 'depth', 'forward_extremities', 'snapshot_number'])
        .where('room_number', '=', facts.roomNumber)
        .executeTakeFirst()
      if (!room) return null
      const snapshot =
        room.snapshot_number === null
          ? undefined
          : await tx
              .selectFrom('state_snapshots')
              .select(['snapshot_number', 'base_number', 'added', 'removed'])
              .where('snapshot_number', '=', room.snapshot_number)
              .executeTakeFirst()
      const { rows: extremityRows } = await sql<EventRow>`SELECT ${sql.raw(eventColumns)} FROM events e
        ${sql.raw(eventJoins)} WHERE e.event_number = ANY(${room.forward_extremities})`.execute(tx)
      const { rows: stateRows } = await sql<EventRow>`SELECT ${sql.raw(eventColumns)} FROM current_state c
        JOIN events e ON e.event_number = c.event_number ${sql.raw(eventJoins)}
        WHERE c.room_number = ${facts.roomNumber}`.execute(tx)
      const read = (rows: readonly EventRow[]) => rows.flatMap(row => storedEvent(row, facts, numbers.sealer) ?? [])
      return {
        facts,
        retentionOverride: await retentionOverrideOf(tx, facts.roomNumber),
        version: room.head_version,
        depth: room.depth,
        forwardExtremities: read(extremityRows).map(event => ({ eventNumber: event.eventNumber, event })),
        snapshot: snapshot
          ? {
              snapshotNumber: snapshot.snapshot_number,
              fullNumber: snapshot.base_number ?? snapshot.snapshot_number,
              added: snapshot.base_number === null ? [] : snapshot.added,
              removed: snapshot.removed,
            }
          : null,
        state: read(stateRows),
      }
    },
    { isolation: 'repeatable read', readOnly: true },
  )
}

/** The event numbers of a snapshot's state; empty for an unknown one. */
export async function snapshotEventNumbers(db: Database, snapshotNumber: number): Promise<number[]> {
  const rows = await db.kysely
    .selectFrom('state_snapshots as s')
    .leftJoin('state_snapshots as b', 'b.snapshot_number', 's.base_number')
    .select(['s.added', 's.removed', 'b.added as base'])
    .where('s.snapshot_number', '=', snapshotNumber)
    .execute()
  const row = rows[0]
  if (!row) return []
  const removed = new Set(row.removed)
  return [...(row.base ?? []).filter(number => !removed.has(number)), ...row.added]
}

/** One change of one pair of a room's state: who held it from this position on. */
export interface StateHolding {
  readonly position: number
  readonly eventId: EventId | null
  readonly event: StoredEvent | null
}

/** Every holder that a pair of the room's state ever had, oldest first. */
export async function stateHoldings(
  db: Database,
  numbers: Numbers,
  room: RoomFacts,
  type: string,
  stateKey: string,
): Promise<StateHolding[]> {
  const typeNumber = (await numbers.knownTypes([type])).get(type)
  if (typeNumber === undefined) return []
  const stateKeyNumber = (await numbers.knownStateKeys([stateKey])).get(stateKey)
  if (stateKeyNumber === undefined) return []
  const { rows } = await sql<EventRow & { changed: number; event_number: number | null }>`
    SELECT c.position AS changed, ${sql.raw(eventColumns)} FROM state_changes c
    LEFT JOIN events e ON e.event_number = c.event_number ${sql.raw(eventJoins)}
    WHERE c.room_number = ${room.roomNumber} AND c.type_number = ${typeNumber} AND c.state_key_number = ${stateKeyNumber}
    ORDER BY c.position`.execute(db.kysely)
  return rows.map(row => {
    const event = row.event_number === null ? null : storedEvent(row, room, numbers.sealer)
    return { position: row.changed, eventId: event?.event.eventId ?? null, event }
  })
}

/** For each state event of a timeline, by its number, the event that held its pair just before it. */
export async function previousState(
  db: Database,
  numbers: Numbers,
  events: readonly StoredEvent[],
): Promise<Map<number, StoredEvent>> {
  if (events.length === 0) return new Map()
  const { rows } = await sql<EventRow & { successor: number }>`
    SELECT c.event_number AS successor, ${sql.raw(eventColumns)} FROM state_changes c
    JOIN LATERAL (SELECT p.event_number FROM state_changes p WHERE p.room_number = c.room_number
      AND p.type_number = c.type_number AND p.state_key_number = c.state_key_number AND p.position < c.position
      ORDER BY p.position DESC LIMIT 1) before ON true
    JOIN events e ON e.event_number = before.event_number ${sql.raw(eventJoins)}
    WHERE c.event_number = ANY(${events.map(({ eventNumber }) => eventNumber)})`.execute(db.kysely)
  const previous = new Map<number, StoredEvent>()
  const rooms = await numbers.rooms(rows.map(row => row.room_number))
  for (const row of rows) {
    const room = rooms.get(row.room_number)
    const event = room && storedEvent(row, room, numbers.sealer)
    if (event) previous.set(row.successor, event)
  }
  return previous
}
