import { type DeviceId, type EventId, type UserId } from '../protocol/identifiers.ts'
import { accountDataName } from './account-data.ts'
import { type Database, statement } from './database.ts'
import { eventColumns, eventJoins, type EventRow, eventsByNumber, storedEvents } from './events.ts'
import { type LogEntry, type LogEntryKind, logKinds, type PrunedEvent, type StateChange, type StoredEvent } from './log-entries.ts' // prettier-ignore
import { type Numbers } from './numbers.ts'
import { toDeviceName } from './to-device.ts'

interface LogRow {
  position: number
  kind: number
  room_number: number | null
  user_number: number | null
}

/** After $1, up to and including $2: the span of every statement here. */
type Span = [after: number, upTo: number]

const rows = statement<Span, LogRow>(
  'log_read_rows',
  'SELECT position, kind, room_number, user_number FROM log WHERE position > $1 AND position <= $2 ORDER BY position',
)
const events = statement<Span, EventRow>(
  'log_read_events',
  `SELECT ${eventColumns} FROM log l JOIN events e ON e.event_number = l.reference ${eventJoins}
   WHERE l.position > $1 AND l.position <= $2 AND l.kind = ${logKinds.event}`,
)
const pruned = statement<Span, { position: number; event_number: number; event_id: string }>(
  'log_read_pruned',
  `SELECT l.position, e.event_number, e.event_id FROM log l JOIN events e ON e.redacted_by = l.reference AND e.room_number = l.room_number
   WHERE l.position > $1 AND l.position <= $2 AND l.kind = ${logKinds.event}`,
)
const stateChanges = statement<
  Span,
  { position: number; type: string; state_key: string; event_number: number | null; replaced: number | null }
>(
  'log_read_state_changes',
  `SELECT c.position, y.type, k.state_key, c.event_number,
     (SELECT p.event_number FROM state_changes p WHERE p.room_number = c.room_number AND p.type_number = c.type_number
       AND p.state_key_number = c.state_key_number AND p.position < c.position ORDER BY p.position DESC LIMIT 1) AS replaced
   FROM log l JOIN state_changes c ON c.room_number = l.room_number AND c.position = l.position
   JOIN event_types y USING (type_number) JOIN state_keys k USING (state_key_number)
   WHERE l.position > $1 AND l.position <= $2 AND l.kind = ${logKinds.event}`,
)
const receipts = statement<
  Span,
  {
    position: number
    receipt_type: string
    thread_id: string
    event_id: string
    event_position: number
    read_ts: number
  }
>(
  'log_read_receipts',
  `SELECT r.position, r.receipt_type, r.thread_id, e.event_id, e.position AS event_position, r.read_ts
   FROM log l JOIN receipts r ON r.room_number = l.room_number AND r.position = l.position JOIN events e USING (event_number)
   WHERE l.position > $1 AND l.position <= $2 AND l.kind = ${logKinds.receipt}`,
)
const accountData = statement<Span, { position: number; room_number: number; type: string; content: Buffer }>(
  'log_read_account_data',
  `SELECT a.position, a.room_number, a.type, a.content
   FROM log l JOIN account_data a ON a.user_number = l.user_number AND a.position = l.position
   WHERE l.position > $1 AND l.position <= $2 AND l.kind = ${logKinds.account_data}`,
)
const toDevice = statement<
  Span,
  { position: number; device_id: string; sender_number: number; type: string; content: Buffer }
>(
  'log_read_to_device',
  `SELECT position, device_id, sender_number, type, content FROM to_device_messages WHERE position > $1 AND position <= $2`,
)

const kindOf = new Map(Object.entries(logKinds).map(([kind, number]) => [number, kind as LogEntryKind]))

/**
 * The entries after one position, up to and including another, in order and without gaps. What has been overwritten or
 * swept since is `gone`. For a process that catches up with what others committed.
 */
export async function readEntries(db: Database, numbers: Numbers, after: number, upTo: number): Promise<LogEntry[]> {
  const reader = db.kysely
  const span: Span = [after, upTo]
  const logRows = await rows.run(reader, span)
  const kinds = new Set(logRows.map(row => kindOf.get(row.kind)))
  const when = async <T>(kind: LogEntryKind, read: () => Promise<T[]>): Promise<T[]> => (kinds.has(kind) ? read() : [])
  const [eventRows, prunedRows, changeRows, receiptRows, accountDataRows, toDeviceRows] = await Promise.all([
    when('event', () => events.run(reader, span)),
    when('event', () => pruned.run(reader, span)),
    when('event', () => stateChanges.run(reader, span)),
    when('receipt', () => receipts.run(reader, span)),
    when('account_data', () => accountData.run(reader, span)),
    when('to_device', () => toDevice.run(reader, span)),
  ])

  const stored = await storedEvents(eventRows, numbers)
  const byPosition = new Map(stored.map(event => [event.position, event]))
  const held = changeRows.flatMap(row => [row.event_number ?? [], row.replaced ?? []].flat())
  const stateEvents = new Map<number, StoredEvent>(stored.map(event => [event.eventNumber, event]))
  const absent = [...new Set(held)].filter(number => !stateEvents.has(number))
  for (const event of await eventsByNumber(reader, numbers, absent)) stateEvents.set(event.eventNumber, event)
  const eventAt = (number: number | null) => (number === null ? null : (stateEvents.get(number) ?? null))
  const changesAt = new Map<number, StateChange[]>()
  for (const row of changeRows) {
    const change = {
      type: row.type,
      stateKey: row.state_key,
      event: eventAt(row.event_number),
      replaced: eventAt(row.replaced),
    }
    changesAt.set(row.position, [...(changesAt.get(row.position) ?? []), change])
  }
  const prunedAt = new Map<number, PrunedEvent[]>()
  for (const row of prunedRows) {
    // The column holds nothing but event IDs that were parsed before they were inserted.
    const event = { eventNumber: row.event_number, eventId: row.event_id as EventId }
    prunedAt.set(row.position, [...(prunedAt.get(row.position) ?? []), event])
  }
  const receiptAt = new Map(receiptRows.map(row => [row.position, row]))
  const accountDataAt = new Map(accountDataRows.map(row => [row.position, row]))
  const toDeviceAt = new Map(toDeviceRows.map(row => [row.position, row]))

  const people = [...logRows.map(row => row.user_number), ...toDeviceRows.map(row => row.sender_number)]
  const users = await numbers.userIds(people.filter(number => number !== null))
  const rooms = await numbers.rooms(logRows.map(row => row.room_number).filter(number => number !== null))

  const entries: LogEntry[] = []
  const fill = (before: number) => {
    for (let position = after + entries.length + 1; position < before; position++)
      entries.push({ kind: 'gone', position })
  }
  for (const row of logRows) {
    fill(row.position)
    entries.push(entryOf(row))
  }
  fill(upTo + 1)
  return entries

  function entryOf(row: LogRow): LogEntry {
    const { position } = row
    const gone: LogEntry = { kind: 'gone', position }
    const kind = kindOf.get(row.kind)
    const userId: UserId | undefined = row.user_number === null ? undefined : users.get(row.user_number)
    const room = row.room_number === null ? undefined : rooms.get(row.room_number)
    switch (kind) {
      case 'event': {
        const event = byPosition.get(position)
        if (!event || !room) return gone
        const changes = changesAt.get(position) ?? []
        return { kind, position, roomId: room.roomId, stored: { ...event, position }, stateChanges: changes, pruned: prunedAt.get(position) ?? [] } // prettier-ignore
      }
      case 'receipt': {
        const receipt = receiptAt.get(position)
        if (!receipt || !room || !userId) return gone
        return {
          kind,
          position,
          roomId: room.roomId,
          userId,
          // The column is checked to hold one of the two; the event ID was parsed before it was stored.
          receiptType: receipt.receipt_type as 'm.read' | 'm.read.private',
          threadId: receipt.thread_id,
          eventId: receipt.event_id as EventId,
          eventPosition: receipt.event_position,
          readTs: receipt.read_ts,
        }
      }
      case 'account_data': {
        const data = accountDataAt.get(position)
        if (!data || !userId) return gone
        const roomId = data.room_number === 0 ? null : room?.roomId
        if (roomId === undefined) return gone
        const name = accountDataName(row.user_number ?? 0, data.room_number, data.type)
        const content = numbers.sealer.open(data.content, name)
        return content === null ? gone : { kind, position, userId, roomId, type: data.type, content }
      }
      case 'to_device': {
        const message = toDeviceAt.get(position)
        const sender = message && users.get(message.sender_number)
        if (!message || !sender || !userId) return gone
        const content = numbers.sealer.open(message.content, toDeviceName(row.user_number ?? 0, message.device_id))
        // A device ID is any string.
        return content === null ? gone : { kind, position, userId, deviceId: message.device_id as DeviceId, sender, type: message.type, content } // prettier-ignore
      }
      case 'device_list':
      case 'session':
      case 'profile':
      case 'erasure':
        return userId ? { kind, position, userId } : gone
      case 'room':
        return room ? { kind, position, roomId: room.roomId } : gone
      case 'gone':
      case undefined:
        return gone
    }
  }
}

const headRow = statement<[], { position: number }>('log_read_head', 'SELECT position FROM log_head')

/** The newest committed position. */
export async function readHead(db: Database): Promise<number> {
  return (await headRow.first(db.kysely, []))?.position ?? 0
}
