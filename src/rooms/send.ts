import { type Context, perServer } from '../context.ts'
import { invalidParam, MatrixError, unavailable } from '../errors.ts'
import { type EventId, parseEventId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Relation, relationOf } from '../protocol/relations.ts'
import { hasAnnotated } from '../storage/annotations.ts'
import { eventsById } from '../storage/events.ts'
import { type Actor, refuseSuspended } from './actor.ts'
import { appendAsMember, headForMember } from './as-member.ts'
import { type Draft } from './append.ts'
import { refusePlaintext } from './plaintext.ts'
import { redact } from './redact.ts'
import { once } from './transaction-id.ts'
import { Turns } from './turns.ts'

export interface Message {
  readonly type: string
  readonly content: JsonObject
  readonly transactionId: string
  /** Milliseconds since the epoch, where an application service says when it was; now where absent. */
  readonly originServerTs?: number | undefined
}

/**
 * Sends a message event; returns its ID, the same again for a transaction ID that was used before. Throws M_FORBIDDEN for
 * a room that the user is not in and for plaintext in an encrypted one, M_DUPLICATE_ANNOTATION, M_TOO_LARGE, M_BAD_JSON, M_USER_SUSPENDED.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
 */
export function send(ctx: Context, actor: Actor, roomId: RoomId, message: Message): Promise<EventId> {
  const { type, content, originServerTs } = message
  if (type === 'm.room.redaction') return sendRedaction(ctx, actor, roomId, message)
  return once(ctx, actor, ['send', roomId, type], message.transactionId, async transaction => {
    refuseSuspended(actor)
    const relation = relationOf(content)
    const sendIt = async () => {
      if (relation) await checkRelation(ctx, actor, roomId, type, relation)
      return appendEvent(ctx, actor, roomId, {
        sender: actor.userId,
        type,
        content,
        transaction,
        ...(originServerTs === undefined ? {} : { originServerTs }),
      })
    }
    if (relation?.relType !== 'm.annotation') return sendIt()
    const sameAnnotation = JSON.stringify([actor.userId, relation.eventId, type, relation.key])
    return annotating(ctx).take(sameAnnotation, sendIt)
  })
}

/** Somebody who presses a button twice sends the same annotation twice at once: the second must find the first. */
const annotating = perServer(() => new Turns())

/** Appends one message event of a member's and returns its ID. */
export async function appendEvent(ctx: Context, actor: Actor, roomId: RoomId, draft: Draft): Promise<EventId> {
  let eventId: EventId | null = null
  const appended = await appendAsMember(ctx, actor, roomId, async room => {
    refusePlaintext(ctx, room.head, draft.type)
    eventId = (await room.add(draft)).eventId
  })
  if (appended.outcome === 'repeated') return appended.eventId
  // `append` has run the function, or thrown.
  return eventId ?? Promise.reject(unavailable())
}

/**
 * "Homeservers MUST allow clients to send `m.room.redaction` events with this endpoint for all room versions": where the
 * version keeps `redacts` is for the builder of events to know.
 */
function sendRedaction(ctx: Context, actor: Actor, roomId: RoomId, message: Message): Promise<EventId> {
  const { redacts, ...content } = message.content
  const eventId = typeof redacts === 'string' ? parseEventId(redacts) : null
  if (eventId === null) throw invalidParam('content.redacts must be an event ID')
  return redact(ctx, actor, roomId, {
    eventId,
    content,
    transactionId: message.transactionId,
    path: ['send', roomId, message.type],
  })
}

/**
 * Throws if the event may not be related to its parent: M_INVALID_PARAM where that is of another room, M_UNKNOWN where a
 * thread would grow out of a related event, M_DUPLICATE_ANNOTATION. A parent that is not known may yet arrive.
 * https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
async function checkRelation(
  ctx: Context,
  actor: Actor,
  roomId: RoomId,
  type: string,
  { eventId: parentId, relType, key }: Relation,
): Promise<void> {
  // Before anything is said of the parent.
  await headForMember(ctx, actor, roomId)
  const reader = ctx.db.kysely
  const [parent] = await eventsById(reader, ctx.numbers, [parentId])
  if (parent && parent.event.roomId !== roomId)
    throw invalidParam('An event can be related only to one of its own room')
  if (parent && relType === 'm.thread' && relationOf(parent.event.content)) {
    // "A specific error code is not currently available for this case: servers should use `M_UNKNOWN`".
    throw new MatrixError('M_UNKNOWN', 'A thread cannot start from an event that is related to another one')
  }
  if (relType !== 'm.annotation') return
  if (await hasAnnotated(reader, ctx.numbers, { parentId, senderNumber: actor.userNumber, type, key })) {
    throw new MatrixError('M_DUPLICATE_ANNOTATION', 'You have annotated that event in this way already')
  }
}
