import { type Context } from '../context.ts'
import { joinedGuests } from '../storage/memberships.ts'
import { append } from './append.ts'
import { type RoomHead } from './head.ts'

/**
 * Lets this server's guests leave a room that has stopped admitting guests: "the server MUST set those users'
 * `m.room.member` state to `leave`". https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-19
 */
export async function removeGuests(ctx: Context, head: RoomHead): Promise<void> {
  const guestNumbers = await joinedGuests(ctx.db.kysely, head.facts.roomNumber)
  if (guestNumbers.length === 0) return
  const guests = [...(await ctx.numbers.userIds(guestNumbers)).values()]
  await append(ctx, head.roomId, async room => {
    for (const userId of guests) {
      if (room.head.membership(userId) !== 'join') continue
      const content = { membership: 'leave', reason: 'The room has stopped admitting guests' }
      await room.add({ sender: userId, type: 'm.room.member', stateKey: userId, content })
    }
  })
}
