import { type UserId } from '../../protocol/identifiers.ts'

/** An event that notifies a user. */
export interface Notification {
  readonly eventNumber: number
  readonly position: number
  /** The root of the thread that it is in; `main` outside threads. */
  readonly threadId: string
  readonly isHighlight: boolean
  readonly sender: UserId
  readonly isState: boolean
  /** A lifetime counts from here. */
  readonly ageTs: number
  readonly selfDestructTs: number | null
}

/** What is known of one user's unread events in one room. */
export interface Unread {
  /** Everything up to this position is counted. */
  readonly upTo: number
  /** Oldest first. */
  readonly notifications: readonly Notification[]
  /** How far was read, by thread: '' for receipts that cover all threads, `main` for the main timeline. */
  readonly read: ReadonlyMap<string, number>
}

/** How many notifications of one room are remembered: beyond that, counts stand still. */
export const notificationLimit = 1_000

/** True if no receipt covers a notification. */
export function isUnread(
  { read }: Pick<Unread, 'read'>,
  { threadId, position }: Pick<Notification, 'threadId' | 'position'>,
): boolean {
  return position > (read.get('') ?? 0) && position > (read.get(threadId) ?? 0)
}

/** One count of the two that clients show. */
export interface Counts {
  readonly notifications: number
  readonly highlights: number
}

/** The unread counts of one room. */
export interface RoomCounts {
  readonly main: Counts
  /** By the thread's root; only threads that have any. */
  readonly threads: ReadonlyMap<string, Counts>
}

/** Counts what is unread; `isShown` leaves out what the user is not to see any more. */
export function countsOf(unread: Unread, isShown: (notification: Notification) => boolean): RoomCounts {
  const threads = new Map<string, { notifications: number; highlights: number }>()
  for (const notification of unread.notifications) {
    if (!isUnread(unread, notification) || !isShown(notification)) continue
    let counts = threads.get(notification.threadId)
    if (!counts) threads.set(notification.threadId, (counts = { notifications: 0, highlights: 0 }))
    counts.notifications++
    if (notification.isHighlight) counts.highlights++
  }
  const main = threads.get('main') ?? { notifications: 0, highlights: 0 }
  threads.delete('main')
  return { main, threads }
}

/** The counts of a room as one, for clients that know no threads. */
export function merged({ main, threads }: RoomCounts): Counts {
  let { notifications, highlights } = main
  for (const counts of threads.values()) {
    notifications += counts.notifications
    highlights += counts.highlights
  }
  return { notifications, highlights }
}
