import { type Event } from '../protocol/event.ts'
import { type DeviceId, type EventId, type RoomId, type UserId } from '../protocol/identifiers.ts'

/** The `flags` of an event. */
export const eventFlags = { rejected: 1, softFailed: 2, redacted: 4 } as const

/** An event as this server keeps it: the event and what only this server knows of it. */
export interface StoredEvent {
  readonly eventNumber: number
  readonly roomNumber: number
  /** Above 0: log position. Below 0: backfilled. `null`: an outlier. */
  readonly position: number | null
  /** The event in the form it is kept in: pruned if it was redacted. */
  readonly event: Event
  /** A sum of `eventFlags`. */
  readonly flags: number
  /** Milliseconds since the epoch: the earlier of the sender's clock and ours. A lifetime counts from here. */
  readonly ageTs: number
  /** When its sender wants it gone, in milliseconds since the epoch; known even after it was pruned. */
  readonly selfDestructTs: number | null
  /** The state after the event; `null` for outliers. */
  readonly snapshotNumber: number | null
  /** The redaction that pruned it. */
  readonly redactedBy: number | null
  /** Who sent it under which transaction ID, while that is remembered (a day or more): for `unsigned.transaction_id`. */
  readonly transaction: { readonly deviceId: DeviceId | null; readonly transactionId: string } | null
}

/** One pair of a room's current state that changed. `eventId` is `null` when the pair left the state. */
export interface StateChange {
  readonly type: string
  readonly stateKey: string
  readonly event: StoredEvent | null
  /** What stood there before; `null` if nothing did. */
  readonly replaced: StoredEvent | null
}

/** An event that a redaction pruned. */
export interface PrunedEvent {
  readonly eventNumber: number
  readonly eventId: EventId
}

/** A live event of a room's timeline, with what it did to the room. */
export interface EventEntry {
  readonly kind: 'event'
  readonly roomId: RoomId
  readonly stored: StoredEvent & { readonly position: number }
  readonly stateChanges: readonly StateChange[]
  readonly pruned: readonly PrunedEvent[]
}

export interface ReceiptEntry {
  readonly kind: 'receipt'
  readonly roomId: RoomId
  readonly userId: UserId
  readonly receiptType: 'm.read' | 'm.read.private'
  /** '' unthreaded, 'main' the main timeline, else the thread root. */
  readonly threadId: string
  readonly eventId: EventId
  /** The log position of the event that was read; never null, since only timeline events can be read. */
  readonly eventPosition: number
  readonly readTs: number
}

export interface AccountDataEntry {
  readonly kind: 'account_data'
  readonly userId: UserId
  /** `null` for global account data. */
  readonly roomId: RoomId | null
  readonly type: string
  /** JSON text of the content. */
  readonly content: string
  /** The event that a read marker stands on. */
  readonly eventNumber?: number
}

export interface ToDeviceEntry {
  readonly kind: 'to_device'
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly sender: UserId
  readonly type: string
  /** JSON text of the content. */
  readonly content: string
}

/** A user's devices, device keys or cross-signing keys changed. */
export interface DeviceListEntry {
  readonly kind: 'device_list'
  readonly userId: UserId
}

/** A user's tokens, devices or account flags changed: whoever remembers an authentication of theirs forgets it. */
export interface SessionEntry {
  readonly kind: 'session'
  readonly userId: UserId
}

/** A user's profile changed. */
export interface ProfileEntry {
  readonly kind: 'profile'
  readonly userId: UserId
}

/** What a user sent has been erased: whoever remembers some of it forgets it. */
export interface ErasureEntry {
  readonly kind: 'erasure'
  readonly userId: UserId
}

/** Something of a room other than its events changed (aliases, directory, backfill, sweeping): caches of it are dropped. */
export interface RoomEntry {
  readonly kind: 'room'
  readonly roomId: RoomId
}

/** What stood at this position has been overwritten or swept since; nothing need be known of it any more. */
export interface GoneEntry {
  readonly kind: 'gone'
}

/** What one position of the log says. */
export type LogEntry = { readonly position: number } & (
  | EventEntry
  | ReceiptEntry
  | AccountDataEntry
  | ToDeviceEntry
  | DeviceListEntry
  | SessionEntry
  | ProfileEntry
  | ErasureEntry
  | RoomEntry
  | GoneEntry
)

export type LogEntryKind = LogEntry['kind']

/** `log.kind` in the database. */
export const logKinds: Readonly<Record<Exclude<LogEntryKind, 'gone'>, number>> = {
  event: 1,
  receipt: 2,
  account_data: 3,
  to_device: 4,
  device_list: 5,
  session: 6,
  profile: 7,
  room: 8,
  erasure: 9,
}
