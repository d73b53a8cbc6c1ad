import { type Context, perServer } from '../context.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { describeError } from '../log.ts'
import { type LogEntry } from '../storage/log-entries.ts'
import { onTyping } from '../rooms/typing.ts'
import { dropEvents } from '../storage/sync-events.ts'
import { KnownUsers } from './known-users.ts'
import { Notifier } from './notifier.ts'
import { membersIn, Tail } from './tail.ts'

/** What one server keeps in memory to answer /sync: the tail of the log, who is there, who waits. */
export interface Live {
  readonly tail: Tail
  readonly users: KnownUsers
  readonly notifier: Notifier
  /** How many entries are in the tail of which it is not known yet whom they concern. */
  undecided: number
}

/** It grows from the moment it is first asked for. */
export const liveOf = perServer((ctx: Context): Live => {
  const tail = new Tail(ctx.log.head)
  const notifier = new Notifier()
  const users = new KnownUsers(ctx, user => notifier.isAwaited(user))
  const live: Live = { tail, users, notifier, undecided: 0 }
  ctx.log.subscribe(entries => {
    tail.add(entries)
    for (const entry of entries) {
      // Those who leave are still told so: woken before and after.
      wake(ctx, live, entry)
      users.apply(entry)
      if (entry.kind === 'event' && entry.pruned.length > 0)
        dropEvents(ctx.numbers, { eventNumbers: entry.pruned.map(({ eventNumber }) => eventNumber) })
      else if (entry.kind === 'room') void dropRoom(ctx, entry.roomId)
      else if (entry.kind === 'erasure') tail.forget()
    }
  })
  onTyping(ctx, roomId => notifier.wakeAll(users.joinedIn(roomId)))
  return live
})

/** Wakes the syncs that an entry may concern. */
function wake(ctx: Context, live: Live, entry: LogEntry): void {
  const { users, notifier } = live
  const wakeRoom = (roomId: RoomId) => notifier.wakeAll(users.joinedIn(roomId))
  switch (entry.kind) {
    case 'event':
      wakeRoom(entry.roomId)
      for (const userId of membersIn(entry)) {
        const user = users.get(userId)
        if (user) notifier.wake(user)
      }
      return
    case 'receipt': {
      if (entry.receiptType === 'm.read') return wakeRoom(entry.roomId)
      const user = users.get(entry.userId)
      if (user) notifier.wake(user)
      return
    }
    case 'account_data': {
      const user = users.get(entry.userId)
      if (user) notifier.wake(user)
      return
    }
    case 'to_device': {
      const user = users.get(entry.userId)
      if (user) notifier.wake(user, entry.deviceId)
      return
    }
    case 'session': {
      const user = users.get(entry.userId)
      if (user) notifier.expel(user)
      return
    }
    case 'device_list': {
      const user = users.get(entry.userId)
      if (user) {
        notifier.wake(user)
        for (const room of user.rooms.values()) if (room.membership === 'join') wakeRoom(room.roomId)
        return
      }
      // Somebody who does not sync here: where they are must be asked.
      live.undecided++
      void wakeSharing(ctx, live, entry.userId).finally(() => live.undecided--)
      return
    }
    case 'profile':
    case 'erasure':
    case 'room':
    case 'gone':
      return
  }
}

/** Wakes those who share a room with a user; everybody if that cannot be found out. */
async function wakeSharing(ctx: Context, { users, notifier }: Live, userId: UserId): Promise<void> {
  try {
    const userNumber = await ctx.numbers.knownUser(userId)
    const rooms = userNumber === null ? [] : await joinedRooms(ctx.db.kysely, userNumber)
    for (const { roomId } of rooms) notifier.wakeAll(users.joinedIn(roomId))
  } catch (error) {
    ctx.logger.warn('Cannot tell who shares a room', { component: 'sync', ...describeError(error) })
    notifier.wakeEverybody()
  }
}

/** What was swept is not kept in memory either. */
async function dropRoom(ctx: Context, roomId: RoomId): Promise<void> {
  const room = await ctx.numbers.room(roomId).catch(() => null)
  if (room) dropEvents(ctx.numbers, { roomNumber: room.roomNumber })
}
