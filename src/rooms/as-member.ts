import { type Context } from '../context.ts'
import { notInRoom } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { type Actor } from './actor.ts'
import { append, type Appended, type OpenRoom } from './append.ts'
import { type RoomHead, roomHead } from './head.ts'

/** The head of a room that the user has joined. Throws the same M_FORBIDDEN for an unknown room and for any other one. */
export async function headForMember(ctx: Context, actor: Actor, roomId: RoomId): Promise<RoomHead> {
  const head = await roomHead(ctx, roomId)
  if (head?.membership(actor.userId) !== 'join') throw notInRoom()
  return head
}

/** `append` for a user who has joined the room. Throws the same M_FORBIDDEN for an unknown room and for any other one. */
export async function appendAsMember(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  build: (room: OpenRoom) => Promise<void>,
): Promise<Appended> {
  await headForMember(ctx, actor, roomId)
  return append(ctx, roomId, build)
}
