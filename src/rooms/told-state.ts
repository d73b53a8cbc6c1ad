import { strippedEvent, strippedStateTypes } from '../protocol/client-event.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type RoomHead } from './head.ts'

/**
 * What somebody who is invited, or knocks, may know of a room: what it says now, so that they are not told what has been
 * changed or redacted since, with the member event of whoever invited them.
 * https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export function toldState(head: RoomHead, userId: UserId): JsonObject[] {
  const member = head.event('m.room.member', userId)
  const isInvited = member !== null && membershipIn(member.content) === 'invite'
  const inviter = isInvited ? head.event('m.room.member', member.sender) : null
  return [...strippedStateTypes.map(type => head.event(type)), inviter, member].flatMap(event => {
    const stripped = event && strippedEvent(event)
    return stripped ? [stripped] : []
  })
}
