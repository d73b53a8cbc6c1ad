import { type Context, isLocal } from '../context.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type RoomHead } from './head.ts'

/**
 * True if this server takes part in the room, so that what it knows of it is the present: one of its users has joined, or
 * nobody of any server has. Rooms that its users were only invited to or have left are known from hearsay.
 */
export function isResident(ctx: Context, head: RoomHead): boolean {
  if (!ctx.remote.enabled) return true
  let isEmpty = true
  for (const [userId, stored] of head.state.ofType('m.room.member')) {
    if (membershipIn(stored.event.content) !== 'join') continue
    // The authorisation rules let nothing but user IDs be the state keys of member events.
    if (isLocal(ctx, userId as UserId)) return true
    isEmpty = false
  }
  return isEmpty
}
