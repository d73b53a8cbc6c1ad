import { type Tx } from './database.ts'
import { type Announcement, type AppendOutcome, type RoomChange } from './log-changes.ts'
import { type LogEntry } from './log-entries.ts'

/** What is told to every process without being written down: typing, presence, and that keys of a device came or went. */
export interface Ephemeral {
  readonly kind: EphemeralKind
  readonly payload: string
}

export const ephemeralKinds = ['typing', 'presence', 'keys'] as const
export type EphemeralKind = (typeof ephemeralKinds)[number]

/**
 * The one log. The order of positions is the order of commits, without gaps. Writers share transactions (group commit); a
 * promise resolves only after its commit is durable.
 */
export interface Log {
  /** The epoch of the positions that are handed out now. */
  readonly epoch: string
  /** True if a position that was handed out in that epoch is one of the history that the database continues: false for what
   *  a restore or a failover has taken away. */
  covers(epoch: string, position: number): boolean
  /** The newest position that this process has applied: every entry up to here has been given to the subscribers. */
  readonly head: number
  /** Group commit of a room's events. */
  append(change: RoomChange): Promise<AppendOutcome>
  /** Group commit of announcements. Returns the position of the last; the subscribers have them by then. */
  post(announcements: readonly Announcement[]): Promise<number>
  /**
   * A transaction of one's own, for work that needs other statements. What is announced inside is written last, just
   * before the commit. The subscribers have it when the promise resolves. `work` may run again after a deadlock.
   */
  transact<T>(work: (tx: Tx, announce: (entry: Announcement) => void) => Promise<T>): Promise<T>
  /** Gives every entry, in order and without gaps, to `listener`; returns how to stop. Listeners must not throw or wait. */
  subscribe(listener: (entries: readonly LogEntry[]) => void): () => void
  /** Tells every process, this one included, at once; nothing is written. At most 7,900 bytes. */
  broadcast(message: Ephemeral): void
  /** Like `broadcast`, when and only if a transaction commits; and this process, which knows its own commits, is not told. */
  broadcastWith(tx: Tx, messages: readonly Ephemeral[]): Promise<void>
  /** Names the connection on which other processes are heard; `null` while there is none. What they broadcast between two of
   *  them is lost. */
  readonly hearing: number | null
  onBroadcast(listener: (message: Ephemeral) => void): () => void
  /** Resolves when this process has applied `position`; false if that took longer than `timeoutMs`. */
  reached(position: number, timeoutMs: number): Promise<boolean>
  close(): Promise<void>
}
