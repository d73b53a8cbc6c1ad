import {
  announcementStatements,
  lockedDevices,
  type NumberedAnnouncement,
  positionOf,
  type Query,
} from './log-announcements.ts'
import { type AppendOutcome, type NewEvent, type RoomChange } from './log-changes.ts'
import { kept, type Sealer } from '../privacy/seal.ts'
import { endingBucket, Slices } from './sealed.ts'
import { sealOfSql } from './keyring-row.ts'
import { eventFlags, logKinds } from './log-entries.ts'

/** What one transaction of the log writes. Positions: all events, then the changes' announcements, then the others. */
export interface Batch {
  readonly changes: readonly SealedChange[]
  readonly announcements: readonly NumberedAnnouncement[]
}

/** A change as it waits for its transaction. */
export interface SealedChange {
  readonly change: RoomChange
  /** One for each event of the change. */
  readonly sealed: readonly SealedEvent[]
  readonly announcements: readonly NumberedAnnouncement[]
}

/** What an event says, in the forms in which it is kept. */
interface SealedEvent {
  readonly body: Buffer
  readonly pruned: Buffer | null
  /** The hour in which the key of the body dies; `null` if that has no end of its own. */
  readonly bucket: number | null
}

/** Seals the events of a change; done before they queue, since the writer of a batch keeps everybody waiting. */
export function sealEvents({ events, roomNumber }: RoomChange, sealer: Sealer): SealedEvent[] {
  return events.map(({ event: { eventId }, body, prunedBody, lifespan }) => {
    const place = sealer.placeFor(lifespan, roomNumber)
    return {
      body: sealer.seal(body, place, eventId),
      pruned: prunedBody === null ? null : sealer.seal(prunedBody, sealer.placeFor(kept, roomNumber), eventId),
      bucket: endingBucket(place),
    }
  })
}

/** The end of an append that did not commit. */
export type AppendRefusal = Exclude<AppendOutcome, { outcome: 'committed' }>

const arrayLiteral = (numbers: readonly number[]) => `{${numbers.join(',')}}`

/** Takes the next `size` positions, and tells the other processes when they are committed; its row is the last of them. */
export function takePositions(size: number, processId: string): Query {
  return {
    name: 'log_take',
    text: `WITH taken AS (UPDATE log_head SET position = position + $1 RETURNING position)
      SELECT position, pg_notify('lethe_log', position || ' ' || $2) FROM taken`,
    values: [size, processId],
  }
}

/** The statements of one batch, in the order in which they must run. */
export function batchStatements(
  batch: Batch,
  processId: string,
  sealer: Sealer,
): { queries: Query[]; size: number; headIndex: number } {
  const timeline: Placed[] = []
  const outliers: Omit<Placed, 'offset'>[] = []
  const announced: { entry: NumberedAnnouncement; offset: number }[] = []
  let offset = 0
  for (const { change, sealed } of batch.changes) {
    for (const [index, event] of change.events.entries()) {
      const kept = sealed[index]
      if (!kept) throw new RangeError('an event was not sealed')
      if (event.placement === 'timeline') timeline.push({ event, sealed: kept, change, offset: ++offset })
      else outliers.push({ event, sealed: kept, change })
    }
  }
  for (const { announcements } of batch.changes) {
    for (const entry of announcements) announced.push({ entry, offset: ++offset })
  }
  for (const entry of batch.announcements) announced.push({ entry, offset: ++offset })
  const size = offset
  const changes = batch.changes.map(({ change }) => change)

  const queries: Query[] = []
  const add = (query: Query | null) => query && queries.push(query)
  add(newRooms(changes))
  add(movedHeads(changes))
  add(snapshots(changes))
  add(
    lockedDevices(
      size,
      announced.map(({ entry }) => entry),
    ),
  )
  const headIndex = queries.length
  queries.push(takePositions(size, processId))
  add(insertedEvents(size, timeline, outliers))
  add(stateChanges(size, timeline))
  add(currentState(timeline, false))
  add(currentState(timeline, true))
  add(superseded(timeline))
  add(memberships(size, timeline))
  add(relations(timeline))
  add(mediaReferences(timeline))
  queries.push(...announcementStatements(size, announced, sealer))
  // After the receipts, as the sweeper has it: one of the two would wait for the other while it holds what that one wants.
  add(prunes(timeline, sealer))
  add(announcementLogRows(size, announced))
  return { queries, size, headIndex }
}

function newRooms(changes: readonly RoomChange[]): Query | null {
  const rooms = changes.filter(change => change.newRoom !== null)
  if (rooms.length === 0) return null
  const aliases = rooms.flatMap(change => (change.newRoom?.aliases ?? []).map(alias => ({ ...alias, change })))
  return {
    name: 'log_new_rooms',
    text: `WITH made AS (
        INSERT INTO rooms (room_number, room_id, version, is_public)
        SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::boolean[]))
      INSERT INTO room_aliases (alias, room_number, creator_number)
      SELECT * FROM unnest($5::text[], $6::integer[], $7::integer[])`,
    values: [
      rooms.map(change => change.roomNumber),
      rooms.map(change => change.roomId),
      rooms.map(change => change.newRoom?.version),
      rooms.map(change => change.newRoom?.isPublic),
      aliases.map(({ alias }) => alias),
      aliases.map(({ change }) => change.roomNumber),
      aliases.map(({ creatorNumber }) => creatorNumber),
    ],
  }
}

/** The first and the last change of each room of the batch. */
function byRoom(changes: readonly RoomChange[]): { first: RoomChange; last: RoomChange }[] {
  const rooms = new Map<number, { first: RoomChange; last: RoomChange }>()
  for (const change of changes) {
    const room = rooms.get(change.roomNumber)
    if (room) room.last = change
    else rooms.set(change.roomNumber, { first: change, last: change })
  }
  return [...rooms.values()]
}

function movedHeads(changes: readonly RoomChange[]): Query | null {
  const rooms = byRoom(changes)
  if (rooms.length === 0) return null
  return {
    name: 'log_move_heads',
    text: 'SELECT move_room_heads($1, $2, $3, $4, $5, $6)',
    values: [
      rooms.map(({ first }) => first.roomNumber),
      rooms.map(({ first }) => first.expectedVersion),
      rooms.map(({ last }) => last.head.version),
      rooms.map(({ last }) => last.head.snapshotNumber),
      rooms.map(({ last }) => arrayLiteral(last.head.forwardExtremities)),
      rooms.map(({ last }) => last.head.depth),
    ],
  }
}

function snapshots(changes: readonly RoomChange[]): Query | null {
  const rows = changes.flatMap(change => change.snapshots.map(snapshot => ({ change, snapshot })))
  if (rows.length === 0) return null
  return {
    name: 'log_snapshots',
    text: `INSERT INTO state_snapshots (snapshot_number, room_number, base_number, added, removed)
      SELECT number, room, base, added::bigint[], removed::bigint[]
      FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::text[])
        AS new (number, room, base, added, removed)`,
    values: [
      rows.map(({ snapshot }) => snapshot.snapshotNumber),
      rows.map(({ change }) => change.roomNumber),
      rows.map(({ snapshot }) => snapshot.baseNumber),
      rows.map(({ snapshot }) => arrayLiteral(snapshot.added)),
      rows.map(({ snapshot }) => arrayLiteral(snapshot.removed)),
    ],
  }
}

interface Placed {
  readonly event: NewEvent
  readonly sealed: SealedEvent
  readonly change: RoomChange
  readonly offset: number
}

/** The events, their rows of the log and the transaction IDs they came under: one statement, for most batches the only one. */
function insertedEvents(
  size: number,
  timeline: readonly Placed[],
  outliers: readonly Omit<Placed, 'offset'>[],
): Query | null {
  const rows = [...timeline, ...outliers.map(outlier => ({ ...outlier, offset: null }))]
  if (rows.length === 0) return null
  const bodies = new Slices()
  const slices = rows.map(({ sealed: { body, pruned } }) => ({
    body: bodies.add(body),
    pruned: pruned && bodies.add(pruned),
  }))
  return {
    name: 'log_events',
    text: `WITH new AS (
        SELECT *, ${positionOf('ordinal')} AS position
        FROM unnest($2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
          $9::smallint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::integer[], $15::integer[], $16::integer[],
          $17::integer[], $18::integer[], $19::bytea[], $20::text[], $21::text[], $22::bigint[])
          AS event (number, room, ordinal, id, type, state_key, sender, flags, depth, ts, age, snapshot, body_start, body_bytes,
            pruned_start, pruned_bytes, bucket, request_hash, device, transaction, self_destruct)),
      kept AS (
        INSERT INTO events (event_number, room_number, position, event_id, type_number, state_key_number, sender_number,
          flags, depth, origin_server_ts, age_ts, self_destruct_ts, snapshot_number, body, pruned, seal_bucket)
        SELECT number, room, position, id, type, state_key, sender, flags, depth, ts, age, self_destruct, snapshot,
          substring($23::bytea FROM body_start FOR body_bytes), substring($23::bytea FROM pruned_start FOR pruned_bytes), bucket
        FROM new),
      answered AS (
        INSERT INTO transactions (request_hash, event_number, device_id, transaction_id)
        SELECT request_hash, number, device, transaction FROM new WHERE request_hash IS NOT NULL)
      INSERT INTO log (position, kind, room_number, reference)
      SELECT position, ${logKinds.event}, room, number FROM new WHERE position IS NOT NULL`,
    values: [
      size,
      rows.map(({ event }) => event.eventNumber),
      rows.map(({ change }) => change.roomNumber),
      rows.map(({ offset }) => offset),
      rows.map(({ event }) => event.event.eventId),
      rows.map(({ event }) => event.typeNumber),
      rows.map(({ event }) => event.stateKeyNumber),
      rows.map(({ event }) => event.senderNumber),
      rows.map(({ event }) => event.flags),
      rows.map(({ event }) => event.event.depth),
      rows.map(({ event }) => event.event.originServerTs),
      rows.map(({ event }) => event.ageTs),
      rows.map(({ event }) => event.snapshotNumber),
      slices.map(({ body }) => body.start),
      slices.map(({ body }) => body.bytes),
      slices.map(({ pruned }) => pruned?.start ?? null),
      slices.map(({ pruned }) => pruned?.bytes ?? null),
      rows.map(({ sealed }) => sealed.bucket),
      rows.map(({ event }) => event.transaction?.requestHash ?? null),
      rows.map(({ event }) => event.transaction?.deviceId ?? null),
      rows.map(({ event }) => event.transaction?.transactionId ?? null),
      rows.map(({ event }) => event.selfDestructTs),
      bodies.joined(),
    ],
  }
}

function stateChanges(size: number, timeline: readonly Placed[]): Query | null {
  const rows = timeline.flatMap(placed => placed.event.stateChanges.map(stateChange => ({ ...placed, stateChange })))
  if (rows.length === 0) return null
  return {
    name: 'log_state_changes',
    text: `INSERT INTO state_changes (room_number, position, type_number, state_key_number, event_number)
      SELECT room, ${positionOf('ordinal')}, type, state_key, event
      FROM unnest($2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[])
        AS new (room, ordinal, type, state_key, event)`,
    values: [
      size,
      rows.map(({ change }) => change.roomNumber),
      rows.map(({ offset }) => offset),
      rows.map(({ stateChange }) => stateChange.typeNumber),
      rows.map(({ stateChange }) => stateChange.stateKeyNumber),
      rows.map(({ stateChange }) => stateChange.event?.eventNumber ?? null),
    ],
  }
}

/** The pairs that are set, or with `gone` those that left the state; of several changes of a pair the last counts. */
function currentState(timeline: readonly Placed[], gone: boolean): Query | null {
  const last = new Map<string, { room: number; type: number; stateKey: number; event: number | null }>()
  for (const { event, change } of timeline) {
    for (const { typeNumber, stateKeyNumber, event: holder } of event.stateChanges) {
      const row = {
        room: change.roomNumber,
        type: typeNumber,
        stateKey: stateKeyNumber,
        event: holder?.eventNumber ?? null,
      }
      last.set(`${row.room} ${row.type} ${row.stateKey}`, row)
    }
  }
  const rows = [...last.values()].filter(row => (row.event === null) === gone)
  if (rows.length === 0) return null
  const pairs = [rows.map(row => row.room), rows.map(row => row.type), rows.map(row => row.stateKey)]
  if (gone) {
    return {
      name: 'log_current_state_gone',
      text: `DELETE FROM current_state USING unnest($1::integer[], $2::integer[], $3::integer[]) AS gone (room, type, state_key)
        WHERE room_number = room AND type_number = type AND state_key_number = state_key`,
      values: pairs,
    }
  }
  return {
    name: 'log_current_state',
    text: `INSERT INTO current_state (room_number, type_number, state_key_number, event_number)
      SELECT * FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[])
      ON CONFLICT (room_number, type_number, state_key_number) DO UPDATE SET event_number = excluded.event_number`,
    values: [...pairs, rows.map(row => row.event)],
  }
}

/** State events that others took the place of: from now on the sweeper looks at them. */
function superseded(timeline: readonly Placed[]): Query | null {
  const rows = timeline.flatMap(({ event }) => event.stateChanges.flatMap(({ replaced }) => replaced ?? []))
  const whole = rows.filter(({ flags }) => (flags & eventFlags.redacted) === 0)
  if (whole.length === 0) return null
  return {
    name: 'log_superseded',
    text: `INSERT INTO superseded_state (event_number, room_number, age_ts)
      SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) ON CONFLICT DO NOTHING`,
    values: [
      whole.map(stored => stored.eventNumber),
      whole.map(stored => stored.roomNumber),
      whole.map(stored => stored.ageTs),
    ],
  }
}

function memberships(size: number, timeline: readonly Placed[]): Query | null {
  const last = new Map<string, Placed & { membership: NewEvent['memberships'][number] }>()
  for (const placed of timeline) {
    for (const membership of placed.event.memberships) {
      last.set(`${placed.change.roomNumber} ${membership.userNumber}`, { ...placed, membership })
    }
  }
  const rows = [...last.values()]
  if (rows.length === 0) return null
  return {
    name: 'log_memberships',
    text: `INSERT INTO memberships (room_number, user_number, membership, event_number, position)
      SELECT room, usr, membership, event, ${positionOf('ordinal')}
      FROM unnest($2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::integer[])
        AS new (room, usr, membership, event, ordinal)
      ON CONFLICT (room_number, user_number) DO UPDATE SET membership = excluded.membership,
        event_number = excluded.event_number, position = excluded.position,
        is_forgotten = memberships.is_forgotten AND excluded.membership IN ('leave', 'ban')`,
    values: [
      size,
      rows.map(({ change }) => change.roomNumber),
      rows.map(({ membership }) => membership.userNumber),
      rows.map(({ membership }) => membership.membership),
      rows.map(({ membership }) => membership.eventNumber),
      rows.map(({ offset }) => offset),
    ],
  }
}

function prunes(timeline: readonly Placed[], sealer: Sealer): Query | null {
  const rows = timeline.flatMap(({ event, change }) =>
    event.prunes.map(prune => {
      const place = sealer.placeFor(prune.lifespan, change.roomNumber)
      const body = sealer.seal(prune.body, place, prune.eventId)
      return { eventNumber: prune.eventNumber, body, bucket: endingBucket(place), by: event.eventNumber }
    }),
  )
  if (rows.length === 0) return null
  return {
    name: 'log_prunes',
    // What was said is gone from the table; older copies of the row can be read until its key is destroyed.
    text: `WITH pruned AS (
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::integer[], $4::bigint[]) AS pruned (number, body, bucket, by)),
      shown AS (DELETE FROM media_references WHERE event_number IN (SELECT number FROM pruned)),
      related AS (DELETE FROM event_relations WHERE child_number IN (SELECT number FROM pruned)),
      said AS (
        INSERT INTO dead_seals
        SELECT seal FROM events e CROSS JOIN LATERAL (SELECT ${sealOfSql('e.body')} AS seal) s
        WHERE e.event_number = ANY ($1) AND seal IS NOT NULL ON CONFLICT DO NOTHING)
      UPDATE events SET body = pruned.body, pruned = NULL, seal_bucket = pruned.bucket, flags = flags | 4,
        redacted_by = pruned.by
      FROM pruned WHERE event_number = pruned.number`,
    values: [
      rows.map(row => row.eventNumber),
      rows.map(row => row.body),
      rows.map(row => row.bucket),
      rows.map(row => row.by),
    ],
  }
}

function relations(timeline: readonly Placed[]): Query | null {
  const rows = timeline.filter(({ event }) => event.relation !== null)
  if (rows.length === 0) return null
  return {
    name: 'log_relations',
    text: `INSERT INTO event_relations (parent_id, child_number, room_number, rel_type)
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::text[])`,
    values: [
      rows.map(({ event }) => event.relation?.parentId),
      rows.map(({ event }) => event.eventNumber),
      rows.map(({ change }) => change.roomNumber),
      rows.map(({ event }) => event.relation?.relType),
    ],
  }
}

/**
 * What the events show. Only what its uploader shows, or has shown: otherwise anybody could have others' media deleted, by
 * showing it and redacting that.
 */
function mediaReferences(timeline: readonly Placed[]): Query | null {
  const rows = timeline.flatMap(({ event }) => event.media.map(mediaId => ({ event, mediaId })))
  if (rows.length === 0) return null
  return {
    name: 'log_media_references',
    text: `INSERT INTO media_references (media_id, event_number)
      SELECT m.media_id, shown.event FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS shown (media_id, event, sender)
      JOIN media m USING (media_id) WHERE m.user_number = shown.sender OR m.is_held FOR KEY SHARE OF m`,
    values: [
      rows.map(({ mediaId }) => mediaId),
      rows.map(({ event }) => event.eventNumber),
      rows.map(({ event }) => event.senderNumber),
    ],
  }
}

/** The log rows of announcements. */
export function announcementLogRows(
  size: number,
  announced: readonly { readonly entry: NumberedAnnouncement; readonly offset: number }[],
): Query | null {
  if (announced.length === 0) return null
  return {
    name: 'log_rows',
    text: `INSERT INTO log (position, kind, room_number, user_number)
      SELECT ${positionOf('ordinal')}, kind, room, usr
      FROM unnest($2::integer[], $3::smallint[], $4::integer[], $5::integer[]) AS new (ordinal, kind, room, usr)`,
    values: [
      size,
      announced.map(({ offset }) => offset),
      announced.map(({ entry }) => logKinds[entry.entry.kind]),
      announced.map(({ entry }) => entry.roomNumber),
      announced.map(({ entry }) => entry.userNumber),
    ],
  }
}
