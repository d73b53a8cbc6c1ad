import { LRUCache } from 'lru-cache'
import { type Timer } from '../clock.ts'
import { type Context, perServer } from '../context.ts'
import { parseRoomId, parseUserId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonValue } from '../protocol/json.ts'
import { type LogEntry } from '../storage/log-entries.ts'
import { type Ephemeral } from '../storage/log.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { headForMember } from './as-member.ts'

/** Who is typing in a room. */
export interface Typing {
  /** In the order in which they began. */
  readonly userIds: readonly UserId[]
  /** Grows with each change in any room, within this process; 0 for a room where nobody has typed lately. */
  readonly serial: number
}

/** How long a user counts as typing, unless they say so again. */
const shortestMs = 1_000
const longestMs = 120_000
export const typingDefaultMs = 30_000
/** How many rooms, and users in one of them, are remembered. */
const roomLimit = 20_000
const userLimit = 500

interface RoomTyping {
  readonly typing: Map<UserId, Timer>
  serial: number
}

const nobody: Typing = { userIds: [], serial: 0 }

/** Typing is kept in memory alone; every process hears of it. */
class TypingUsers {
  readonly #ctx: Context
  readonly #listeners = new Set<(roomId: RoomId) => void>()
  readonly #rooms = new LRUCache<RoomId, RoomTyping>({
    max: roomLimit,
    dispose: room => {
      for (const timer of room.typing.values()) timer.clear()
    },
  })
  #serial = 0

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.log.onBroadcast(message => this.#heard(message))
    ctx.log.subscribe(entries => {
      for (const entry of entries) this.#apply(entry)
    })
    // Timers would keep a process alive that has nothing else to do.
    ctx.shutdown.addEventListener('abort', () => this.#rooms.clear(), { once: true })
  }

  in(roomId: RoomId): Typing {
    const room = this.#rooms.get(roomId)
    return room ? { userIds: [...room.typing.keys()], serial: room.serial } : nobody
  }

  get serial(): number {
    return this.#serial
  }

  listen(listener: (roomId: RoomId) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #heard({ kind, payload }: Ephemeral): void {
    if (kind !== 'typing') return
    const message = readMessage(payload)
    if (!message) return
    if (message.timeoutMs > 0) this.#start(message.roomId, message.userId, message.timeoutMs)
    else this.#stop(message.roomId, message.userId)
  }

  /** Whoever is not in the room any more does not type in it. */
  #apply(entry: LogEntry): void {
    if (entry.kind !== 'event') return
    for (const { type, stateKey, event } of entry.stateChanges) {
      if (type === 'm.room.member' && event?.event.content['membership'] !== 'join') {
        // The state keys of member events are user IDs: the rules refuse any other.
        this.#stop(entry.roomId, stateKey as UserId)
      }
    }
  }

  #start(roomId: RoomId, userId: UserId, timeoutMs: number): void {
    if (this.#ctx.shutdown.aborted) return
    let room = this.#rooms.get(roomId)
    if (!room) this.#rooms.set(roomId, (room = { typing: new Map(), serial: 0 }))
    const before = room.typing.get(userId)
    if (!before && room.typing.size >= userLimit) return
    before?.clear()
    room.typing.set(
      userId,
      this.#ctx.clock.setTimeout(() => this.#stop(roomId, userId), timeoutMs),
    )
    if (!before) this.#changed(roomId, room)
  }

  #stop(roomId: RoomId, userId: UserId): void {
    const room = this.#rooms.get(roomId)
    const timer = room?.typing.get(userId)
    if (!room || !timer) return
    timer.clear()
    room.typing.delete(userId)
    this.#changed(roomId, room)
  }

  #changed(roomId: RoomId, room: RoomTyping): void {
    room.serial = ++this.#serial
    for (const listener of this.#listeners) listener(roomId)
  }
}

const typingUsers = perServer(ctx => new TypingUsers(ctx))

/** Who is typing in a room just now. Of no use to anybody who is not in the room. */
export function typingIn(ctx: Context, roomId: RoomId): Typing {
  return typingUsers(ctx).in(roomId)
}

/** The newest serial of any room. */
export function typingSerial(ctx: Context): number {
  return typingUsers(ctx).serial
}

/** Calls `listener` with each room where somebody began or stopped typing; returns how to stop. It must not throw or wait. */
export function onTyping(ctx: Context, listener: (roomId: RoomId) => void): () => void {
  return typingUsers(ctx).listen(listener)
}

/**
 * Says that a user types, or with `timeoutMs` 0 that they have stopped, to every process. For this server's users, go
 * through `setTyping`; for those of others, the federation has checked that they are in the room.
 */
export function announceTyping(ctx: Context, roomId: RoomId, userId: UserId, timeoutMs: number): void {
  // The listener must be there before the first message.
  typingUsers(ctx)
  ctx.log.broadcast({ kind: 'typing', payload: JSON.stringify({ roomId, userId, timeoutMs }) })
}

/**
 * Says that a member types, for `timeoutMs` milliseconds (1 to 120 seconds; what is asked for beyond is cut), or has
 * stopped; nobody hears of it unless the operator has typing shared. Throws M_FORBIDDEN for a room that the user is not in.
 * https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
 */
export async function setTyping(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  isTyping: boolean,
  timeoutMs: number,
): Promise<void> {
  refuseSuspended(actor)
  await headForMember(ctx, actor, roomId)
  if (!ctx.config.sharing.typing) return
  announceTyping(ctx, roomId, actor.userId, isTyping ? Math.min(Math.max(timeoutMs, shortestMs), longestMs) : 0)
}

/** A message of `announceTyping`, or `null` for one that is not in this form: another version's, perhaps. */
function readMessage(payload: string): { roomId: RoomId; userId: UserId; timeoutMs: number } | null {
  let message: JsonValue
  try {
    message = JSON.parse(payload) as JsonValue
  } catch {
    // Not JSON, so not one of ours.
    return null
  }
  if (!isJsonObject(message)) return null
  const roomId = typeof message['roomId'] === 'string' ? parseRoomId(message['roomId']) : null
  const userId = typeof message['userId'] === 'string' ? parseUserId(message['userId']) : null
  const { timeoutMs } = message
  if (roomId === null || userId === null || typeof timeoutMs !== 'number') return null
  return { roomId, userId, timeoutMs: Math.min(timeoutMs, longestMs) }
}
