import { type Context } from '../context.ts'
import { clientEvent } from '../protocol/client-event.ts'
import { applyEventFields, type Filter } from '../protocol/filters.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Related, showEvent, type Viewer } from '../rooms/client-events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'

/** How the filter wants events to look. */
export type EventShape = Pick<Filter, 'eventFormat' | 'eventFields'>

/** The JSON of each event without `unsigned` and the closing brace: the same for everybody, so it is made once. */
const commonText = new WeakMap<StoredEvent, string>()
const contentText = new WeakMap<JsonObject, string>()

function textOf(stored: StoredEvent): string {
  let text = commonText.get(stored)
  if (text === undefined) {
    text = JSON.stringify(clientEvent(stored.event, {}, false)).slice(0, -1)
    commonText.set(stored, text)
  }
  return text
}

function textOfContent(content: JsonObject): string {
  let text = contentText.get(content)
  if (text === undefined) contentText.set(content, (text = JSON.stringify(content)))
  return text
}

/**
 * An event as JSON text in the format of /sync (without `room_id`), for a viewer who may see it. `bundle` are its bundled
 * aggregations. https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
export function eventText(
  ctx: Context,
  viewer: Viewer,
  shape: EventShape,
  stored: StoredEvent,
  related: Related,
  bundle: JsonObject | null,
): string {
  if (shape.eventFormat !== 'client' || (shape.eventFields !== null && shape.eventFields.length > 0)) {
    const bundles = bundle ? new Map([[stored.eventNumber, bundle]]) : undefined
    const shown = showEvent(ctx, viewer, stored, { withRoomId: false, format: shape.eventFormat, ...(bundles && { bundles }) }, related) // prettier-ignore
    return JSON.stringify(applyEventFields(shown, shape.eventFields))
  }
  const { event, transaction } = stored
  let unsigned = `"age":${Math.max(0, ctx.clock.now() - event.originServerTs)}`
  if (transaction && event.sender === viewer.userId && transaction.deviceId === viewer.deviceId)
    unsigned += `,"transaction_id":${JSON.stringify(transaction.transactionId)}`
  const { replaced, redaction, membership } = related
  if (membership) unsigned += `,"membership":"${membership}"`
  if (replaced)
    unsigned += `,"prev_content":${textOfContent(replaced.event.content)},"prev_sender":${JSON.stringify(replaced.event.sender)},"replaces_state":${JSON.stringify(replaced.event.eventId)}` // prettier-ignore
  if (redaction)
    unsigned += `,"redacted_because":${JSON.stringify(clientEvent(redaction.event, {}, true))},"redacted_by":${JSON.stringify(redaction.event.eventId)}` // prettier-ignore
  if (bundle) unsigned += `,"m.relations":${JSON.stringify(bundle)}`
  return `${textOf(stored)},"unsigned":{${unsigned}}}`
}
