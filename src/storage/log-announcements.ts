import { lifetimeDays } from '../privacy/lifetimes.ts'
import { type Lifespan, type Sealer } from '../privacy/seal.ts'
import { accountDataName } from './account-data.ts'
import { type Announcement } from './log-changes.ts'
import { toDeviceName } from './to-device.ts'

/** Undelivered messages are deleted after so long, and a day more for the turn of the day. */
const toDeviceLifespan: Lifespan = { kind: 'for', lifetimeMs: (lifetimeDays.to_device_messages + 1) * 86_400_000 }

/** A statement to send: named, so that each connection prepares it once. */
export interface Query {
  readonly name: string
  readonly text: string
  readonly values: unknown[]
}

/** An announcement with the numbers of what it names. */
export interface NumberedAnnouncement {
  readonly entry: Announcement
  readonly userNumber: number | null
  readonly roomNumber: number | null
  /** Of the sender of a to-device message. */
  readonly senderNumber: number | null
}

// Inside the transaction the head already stands behind the batch: position = head − size + offset, offsets from 1.
export const positionOf = (offset: string) => `(SELECT position FROM log_head) - $1 + ${offset}`

/** The statement that writes receipts; its rows are the positions of those that it wrote. */
export const receiptsStatement = 'log_receipts'

type Announced<Kind extends Announcement['kind']> = {
  entry: Extract<Announcement, { kind: Kind }>
  userNumber: number | null
  roomNumber: number | null
  senderNumber: number | null
  offset: number
}

/** Of rows with the same key the last: one statement may touch a row once. */
function lastOf<T>(rows: readonly T[], key: (row: T) => string): T[] {
  return [...new Map(rows.map(row => [key(row), row])).values()]
}

/** The rows of the announcements' own tables. */
export function announcementStatements(
  size: number,
  announced: readonly { entry: NumberedAnnouncement; offset: number }[],
  sealer: Sealer,
): Query[] {
  const ofKind = <Kind extends Announcement['kind']>(kind: Kind): Announced<Kind>[] =>
    announced.flatMap(({ entry, offset }) =>
      // The kind was just compared.
      entry.entry.kind === kind ? [{ ...entry, entry: entry.entry as Announced<Kind>['entry'], offset }] : [],
    )
  const queries: Query[] = []

  const accountData = lastOf(ofKind('account_data'), row => `${row.userNumber} ${row.roomNumber} ${row.entry.type}`)
  if (accountData.length > 0) {
    queries.push({
      name: 'log_account_data',
      text: `INSERT INTO account_data (user_number, room_number, type, content, event_number, position)
        SELECT usr, room, type, content, event, ${positionOf('ordinal')}
        FROM unnest($2::integer[], $3::integer[], $4::text[], $5::bytea[], $6::integer[], $7::bigint[])
          AS new (usr, room, type, content, ordinal, event)
        ON CONFLICT (user_number, room_number, type) DO UPDATE SET content = excluded.content,
          event_number = excluded.event_number, position = excluded.position`,
      values: [
        size,
        accountData.map(row => row.userNumber),
        accountData.map(row => row.roomNumber ?? 0),
        accountData.map(row => row.entry.type),
        accountData.map(({ userNumber, roomNumber, entry }) =>
          userNumber === null
            ? null
            : sealer.seal(
                entry.content,
                sealer.accountPlace(userNumber),
                accountDataName(userNumber, roomNumber ?? 0, entry.type),
              ),
        ),
        accountData.map(row => row.offset),
        accountData.map(row => row.entry.eventNumber ?? null),
      ],
    })
  }

  const receipts = lastOf(ofKind('receipt'), row =>
    [row.roomNumber, row.userNumber, row.entry.receiptType, row.entry.threadId].join(' '),
  )
  if (receipts.length > 0) {
    queries.push({
      name: receiptsStatement,
      // Two processes may each have found that theirs is the farther: the log's head is locked by now, so this sees what the
      // other wrote, and the nearer one changes nothing. What is returned is what was written.
      text: `INSERT INTO receipts (room_number, user_number, receipt_type, thread_id, event_number, read_ts, position)
        SELECT room, usr, type, thread, event, ts, ${positionOf('ordinal')}
        FROM unnest($2::integer[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::integer[])
          AS new (room, usr, type, thread, event, ts, ordinal)
        ON CONFLICT (room_number, user_number, receipt_type, thread_id) DO UPDATE SET
          event_number = excluded.event_number, read_ts = excluded.read_ts, position = excluded.position
        WHERE (SELECT coalesce(position, 0) FROM events WHERE event_number = receipts.event_number)
          < (SELECT position FROM events WHERE event_number = excluded.event_number)
        RETURNING position`,
      values: [
        size,
        receipts.map(row => row.roomNumber),
        receipts.map(row => row.userNumber),
        receipts.map(row => row.entry.receiptType),
        receipts.map(row => row.entry.threadId),
        receipts.map(row => row.entry.eventNumber),
        receipts.map(row => row.entry.readTs),
        receipts.map(row => row.offset),
      ],
    })
  }

  const messages = ofKind('to_device')
  if (messages.length > 0) {
    queries.push({
      name: 'log_to_device',
      // A device that was deleted meanwhile gets nothing, and nobody's batch fails for it.
      text: `INSERT INTO to_device_messages (position, user_number, device_id, sender_number, type, content)
        SELECT ${positionOf('ordinal')}, usr, device, sender, type, content
        FROM unnest($2::integer[], $3::integer[], $4::text[], $5::integer[], $6::text[], $7::bytea[])
          AS new (ordinal, usr, device, sender, type, content)
        WHERE EXISTS (SELECT FROM devices WHERE user_number = usr AND device_id = device)`,
      values: [
        size,
        messages.map(row => row.offset),
        messages.map(row => row.userNumber),
        messages.map(row => row.entry.deviceId),
        messages.map(row => row.senderNumber),
        messages.map(row => row.entry.type),
        messages.map(({ userNumber, entry }) =>
          sealer.seal(
            entry.content,
            sealer.placeFor(toDeviceLifespan, 'to_device'),
            toDeviceName(userNumber ?? 0, entry.deviceId),
          ),
        ),
      ],
    })
  }

  const deviceLists = lastOf(ofKind('device_list'), row => String(row.userNumber))
  if (deviceLists.length > 0) {
    queries.push({
      name: 'log_device_lists',
      text: `INSERT INTO device_list_changes (user_number, position)
        SELECT usr, ${positionOf('ordinal')} FROM unnest($2::integer[], $3::integer[]) AS new (usr, ordinal)
        ON CONFLICT (user_number) DO UPDATE SET position = excluded.position`,
      values: [size, deviceLists.map(row => row.userNumber), deviceLists.map(row => row.offset)],
    })
  }
  return queries
}

/**
 * Locks the devices that messages are for, before the log's head is taken: whoever deletes one of them holds its row and
 * will want the head, so waiting for the row while holding the head would be a deadlock.
 */
export function lockedDevices(size: number, announced: readonly NumberedAnnouncement[]): Query | null {
  const messages = announced.flatMap(({ entry, userNumber }) =>
    entry.kind === 'to_device' ? [{ userNumber, deviceId: entry.deviceId }] : [],
  )
  if (size === 0 || messages.length === 0) return null
  return {
    name: 'log_lock_devices',
    text: `SELECT FROM devices WHERE (user_number, device_id) IN (SELECT * FROM unnest($1::integer[], $2::text[]))
      ORDER BY user_number, device_id FOR KEY SHARE`,
    values: [messages.map(({ userNumber }) => userNumber), messages.map(({ deviceId }) => deviceId)],
  }
}
