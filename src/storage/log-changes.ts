import { type Event } from '../protocol/event.ts'
import { type DeviceId, type EventId, type RoomAlias, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Lifespan } from '../privacy/seal.ts'
import { type RoomVersionId } from '../protocol/room-versions.ts'
import {
  type AccountDataEntry, type DeviceListEntry, type ErasureEntry, type ProfileEntry, type ReceiptEntry, type RoomEntry, type SessionEntry,
  type StateChange, type StoredEvent, type ToDeviceEntry,
} from './log-entries.ts' // prettier-ignore

/**
 * An entry to be written that is not an event. Announcing it *is* writing it: the log writes the row of its kind (account
 * data, receipt, to-device message, device list change) under the entry's position.
 */
export type Announcement =
  | AccountDataEntry
  | (ReceiptEntry & { readonly eventNumber: number })
  | ToDeviceEntry
  | DeviceListEntry
  | SessionEntry
  | ProfileEntry
  | ErasureEntry
  | RoomEntry

/** How to find again the answer to a request with a transaction ID. */
export interface TransactionKey {
  /** 16 bytes over user, device, path and transaction ID. */
  readonly requestHash: Buffer
  readonly deviceId: DeviceId | null
  readonly transactionId: string
}

export interface NewSnapshot {
  readonly snapshotNumber: number
  /** A full snapshot; `null` makes this one full. */
  readonly baseNumber: number | null
  /** Event numbers. */
  readonly added: readonly number[]
  readonly removed: readonly number[]
}

export interface NewMembership {
  readonly userId: UserId
  readonly userNumber: number
  readonly membership: string
  readonly eventNumber: number
}

export interface NewEvent {
  readonly eventNumber: number
  readonly event: Event
  /** The text that it is kept as. */
  readonly body: string
  /** The text of its redacted form, for a state event; kept beside the other under a key of its own. */
  readonly prunedBody: string | null
  /** How long the text is to be readable. */
  readonly lifespan: Lifespan
  readonly flags: number
  readonly ageTs: number
  readonly selfDestructTs: number | null
  readonly typeNumber: number
  readonly stateKeyNumber: number | null
  readonly senderNumber: number
  /** The state after the event; `null` for an outlier. */
  readonly snapshotNumber: number | null
  /** `timeline` takes a position of the log and is told to everybody; an outlier is only kept. */
  readonly placement: 'timeline' | 'outlier'
  /** Changes of the room's current state, with the numbers of their pairs. */
  readonly stateChanges: readonly (StateChange & { readonly typeNumber: number; readonly stateKeyNumber: number })[]
  readonly memberships: readonly NewMembership[]
  /** Events that this one redacts, with the pruned body that they have from now on. */
  readonly prunes: readonly { readonly eventNumber: number; readonly eventId: EventId; readonly body: string; readonly lifespan: Lifespan }[] // prettier-ignore
  /** Media of this server that the event shows. */
  readonly media: readonly MediaId[]
  readonly relation: { readonly parentId: EventId; readonly relType: string } | null
  readonly transaction: TransactionKey | null
}

/** Events of one room, and what they do to it: all of it happens, or none. */
export interface RoomChange {
  readonly roomId: RoomId
  readonly roomNumber: number
  /** Set for a room that this change makes. */
  readonly newRoom: { readonly version: RoomVersionId; readonly isPublic: boolean; readonly aliases: readonly { readonly alias: RoomAlias; readonly creatorNumber: number }[] } | null // prettier-ignore
  /** The head version that the events were built on. */
  readonly expectedVersion: number
  /** The head from now on. */
  readonly head: {
    readonly version: number
    readonly snapshotNumber: number | null
    /** Event numbers. */
    readonly forwardExtremities: readonly number[]
    readonly depth: number
  }
  readonly events: readonly NewEvent[]
  readonly snapshots: readonly NewSnapshot[]
  /** Further entries that stand or fall with the events. */
  readonly announcements: readonly Announcement[]
}

export type AppendOutcome =
  | { readonly outcome: 'committed'; readonly stored: readonly StoredEvent[] }
  /** Another process moved the room: build again on the new head. */
  | { readonly outcome: 'moved' }
  /** The transaction ID was used before, for this event. */
  | { readonly outcome: 'repeated'; readonly eventId: EventId }
