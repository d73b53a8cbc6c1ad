import { type Context, perServer } from '../context.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { typingIn, typingSerial } from '../rooms/typing.ts'
import { type KnownUser } from './known-users.ts'

/** Who is typing where, for one answer. Typing is not in the log: it has serials of its own. */
export interface TypingNews {
  /** Numbers of the rooms in which somebody began or stopped typing since the client's token. */
  readonly rooms: ReadonlySet<number>
  /** Who types in a room; `null` if there is nothing to tell. A client that does not know the room is told only of someone. */
  in(roomId: RoomId, isNew: boolean): readonly UserId[] | null
  /** For the token of the answer. */
  readonly mark: number
}

const serialBits = 31
const serialRange = 2 ** serialBits
const tagRange = 2 ** 21

/** Serials are a process's own; the tag says whose they are. */
const tagOf = perServer(ctx => ctx.random.integer(tagRange))

/** What a token says about typing now. */
export function typingMark(ctx: Context): number {
  return tagOf(ctx) * serialRange + (typingSerial(ctx) % serialRange)
}

/** What happened since a token that says `since`; `null` for a first sync. A token of another process knows nothing here. */
export function typingSince(ctx: Context, user: KnownUser, since: number | null): TypingNews {
  const mark = typingMark(ctx)
  const isOurs = since !== null && Math.floor(since / serialRange) === tagOf(ctx)
  const serial = isOurs ? since % serialRange : 0
  const rooms = new Set<number>()
  if (since !== null && since !== mark) {
    for (const room of user.rooms.values())
      if (room.membership === 'join' && typingIn(ctx, room.roomId).serial > serial) rooms.add(room.roomNumber)
  }
  return {
    rooms,
    mark,
    in(roomId, isNew) {
      const typing = typingIn(ctx, roomId)
      if (isNew) return typing.userIds.length > 0 ? typing.userIds : null
      return typing.serial > serial ? typing.userIds : null
    },
  }
}
