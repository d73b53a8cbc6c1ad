import { type Membership } from '../protocol/history-visibility.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type Reader } from '../storage/database.ts'
import { type LogEntry, type StoredEvent } from '../storage/log-entries.ts'
import { type AccountDataItem } from '../storage/sync-rooms.ts'
import { type ReceiptRow } from '../storage/sync-receipts.ts'
import { type PlacedStateChange } from '../storage/sync-state.ts'
import { type RoomSpan } from '../storage/sync-timelines.ts'

/** Before every position. */
export const beginning = -Number.MAX_SAFE_INTEGER

/** A change of the syncing user's own membership of a room. */
export interface OwnChange {
  readonly position: number
  readonly membership: Membership
  /** The member event; `null` if it left the room's state. */
  readonly event: StoredEvent | null
}

/** How the syncing user stands in a room at the end of the span, and how they stood during it. */
export interface Stay {
  readonly roomId: RoomId
  readonly roomNumber: number
  /** At the end of the span. */
  readonly membership: Membership
  /** When it came about, or the last confirmation of it. */
  readonly position: number
  /** At the start of the span; `leave` in an initial sync. */
  readonly before: Membership
  /** During the span, oldest first; in an initial sync only of rooms that were left. */
  readonly changes: readonly OwnChange[]
}

/** True if the user was in the room all through the span. */
export function isUnbroken(stay: Stay): boolean {
  return stay.before === 'join' && stay.changes.every(change => change.membership === 'join')
}

/**
 * Where one answer reads what happened: the tail of the log, or the database. Both give the same, so an answer does not
 * depend on which it was. Nothing after `to` is given, except that events are in the form that they have by now.
 */
export interface Source {
  /** The end of the span: the position that the answer is complete up to. */
  readonly to: number
  /** For what is not told here. Every statement is bounded by `to`: together they are of one moment without a transaction. */
  readonly reader: Reader
  /** The same for what may give many rows. */
  readonly bulk: Reader
  /**
   * The rooms that the user is in, invited to or knocks at, and those in which that changed. Of the rooms that they were in
   * all the while only those in which something happened, and those in `others` (room numbers).
   */
  stays(others: ReadonlySet<number> | 'all'): Promise<readonly Stay[]>
  /** The user's account data that changed in the span; of an initial sync all. */
  accountData(): Promise<readonly AccountDataItem[]>
  /** The newest events of each span, newest first, at most `limit`; fewer only when the span has no more. */
  newestEvents(spans: readonly RoomSpan[], limit: number): Promise<ReadonlyMap<number, readonly StoredEvent[]>>
  /** The changes of the rooms' state in the spans, oldest first. */
  stateChanges(spans: readonly RoomSpan[]): Promise<ReadonlyMap<number, readonly PlacedStateChange[]>>
  /** The receipts that came in the spans and that the user may see. */
  receipts(spans: readonly RoomSpan[]): Promise<readonly ReceiptRow[]>
  /** Those of the timeline's events that pruned or replaced others, for `unsigned`. */
  related(events: readonly StoredEvent[]): Promise<{
    readonly redactions: ReadonlyMap<number, StoredEvent>
    /** By the number of the event that replaced it. */
    readonly replaced: ReadonlyMap<number, StoredEvent>
  }>
  /** Every entry of the log in the span, if they are at hand; `null` if the database must be asked. */
  readonly entries: readonly LogEntry[] | null
}
