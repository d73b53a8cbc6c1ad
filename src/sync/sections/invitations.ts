import { includesRoom } from '../../protocol/filters.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { roomHead } from '../../rooms/head.ts'
import { blocksInvitations } from '../../rooms/invite.ts'
import { toldState } from '../../rooms/told-state.ts'
import { eventsByNumber } from '../../storage/events.ts'
import { membershipsOf } from '../../storage/memberships.ts'
import { type Stay } from '../source.ts'
import { type Sync } from './rooms.ts'

/** The JSON texts of `rooms.invite` and `rooms.knock`, by room ID. */
export interface InvitationTexts {
  readonly invite: ReadonlyMap<string, string>
  readonly knock: ReadonlyMap<string, string>
}

/**
 * The rooms that the user was invited to or knocked at in the span, with what they may know of them. "Servers must not send
 * room invites from ignored users to clients"; none at all are sent to those who block them. https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export async function invitationTexts(sync: Sync, stays: readonly Stay[]): Promise<InvitationTexts> {
  const { request } = sync
  const { filter, caller } = request
  const pending = stays.filter(stay => stay.membership === 'invite' || stay.membership === 'knock')
  const included = pending.filter(stay => includesRoom(filter.room, stay.roomId))
  const hasInvitation = included.some(stay => stay.membership === 'invite')
  const isBlocking = hasInvitation && (await blocksInvitations(sync.ctx, caller.userNumber))
  const wanted = isBlocking ? included.filter(stay => stay.membership !== 'invite') : included
  if (wanted.length === 0) return { invite: new Map(), knock: new Map() }
  const senders = sync.ignored.size === 0 ? null : await inviters(sync)
  const invite = new Map<string, string>()
  const knock = new Map<string, string>()
  for (const { roomId, roomNumber, membership } of wanted) {
    const head = await roomHead(sync.ctx, roomId)
    const events = JSON.stringify(head ? toldState(head, caller.userId) : [])
    const sender = senders?.get(roomNumber)
    if (membership === 'knock') knock.set(roomId, `{"knock_state":{"events":${events}}}`)
    else if (sender === undefined || !sync.ignored.has(sender)) invite.set(roomId, `{"invite_state":{"events":${events}}}`) // prettier-ignore
  }
  return { invite, knock }
}

/** Who invited the user, by room number. */
async function inviters({ ctx, request, source }: Sync): Promise<Map<number, UserId>> {
  const rows = await membershipsOf(source.reader, request.caller.userNumber)
  const invites = rows.filter(row => row.membership === 'invite').map(row => row.eventNumber)
  const events = await eventsByNumber(source.reader, ctx.numbers, invites)
  return new Map(events.map(({ roomNumber, event }) => [roomNumber, event.sender]))
}
