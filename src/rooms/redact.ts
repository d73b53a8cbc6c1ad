import { type Context, isLocal } from '../context.ts'
import { forbidden } from '../errors.ts'
import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { eventsById } from '../storage/events.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { append } from './append.ts'
import { headForMember } from './as-member.ts'
import { type RoomHead } from './head.ts'
import { once } from './transaction-id.ts'

export interface RedactionRequest {
  readonly eventId: EventId
  /** `reason`, and whatever else the client says. */
  readonly content: JsonObject
  readonly transactionId: string
  /** The transaction ID's path. */
  readonly path: readonly string[]
}

/**
 * Redacts an event; returns the redaction's ID, the same again for a transaction ID that was used before. One's own events
 * may be redacted by everybody who may send redactions, those of others with the `redact` level; administrators may
 * redact what users of this server sent. An event that is not known may yet arrive and is then redacted if the rules
 * allow it. Throws M_FORBIDDEN. https://spec.matrix.org/v1.19/client-server-api/#redactions
 */
export function redact(ctx: Context, actor: Actor, roomId: RoomId, request: RedactionRequest): Promise<EventId> {
  return once(ctx, actor, request.path, request.transactionId, async transaction => {
    const head = await headForMember(ctx, actor, roomId)
    const [known] = await eventsById(ctx.db.kysely, ctx.numbers, [request.eventId])
    // An event of another room is, to this one, an event that does not exist.
    const target = known?.roomNumber === head.facts.roomNumber ? known : null
    // "Users who are suspended may still redact their own events."
    if (target?.event.sender !== actor.userId) refuseSuspended(actor)
    let redactionId: EventId | null = null
    const appended = await append(ctx, roomId, async room => {
      if (target && !mayRedactHere(ctx, room.head, actor, target)) throw forbidden('You may not redact that event')
      const redaction = await room.add({
        sender: actor.userId,
        type: 'm.room.redaction',
        content: request.content,
        redacts: request.eventId,
        transaction,
      })
      redactionId = redaction.eventId
    })
    if (appended.outcome === 'repeated') return appended.eventId
    // `append` has run the function, or thrown.
    return redactionId ?? Promise.reject(forbidden())
  })
}

/** Stricter than the rules between servers, to which all users of a server are one. */
function mayRedactHere(ctx: Context, head: RoomHead, actor: Actor, { event }: StoredEvent): boolean {
  // Without these the room cannot be made sense of any more, and other servers refuse it too.
  if (event.type === 'm.room.create' || event.type === 'm.room.server_acl') return false
  if (event.sender === actor.userId || (actor.isAdmin && isLocal(ctx, event.sender))) return true
  return head.powerLevels.userLevel(actor.userId) >= head.powerLevels.redact
}
