import { type Context } from '../context.ts'
import { clientEvent } from '../protocol/client-event.ts'
import { type JsonObject } from '../protocol/json.ts'
import { relatedEvents } from '../storage/relations.ts'
import { eventFlags, type StoredEvent } from '../storage/log-entries.ts'
import { type Viewer } from './client-events.ts'
import { type RoomHead } from './head.ts'
import { ignoredBy } from './ignored-users.ts'
import { lifetimeIn, membershipHistory, visibleEvents } from './visibility.ts'

/**
 * The bundled aggregations of events that the viewer sees, by event number: the newest edit, the summary of the thread,
 * the references. Only what the viewer may see is bundled, and nothing of whom they ignore. A redacted event keeps its thread
 * and its references, but has no edits.
 * https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events
 */
export async function bundledAggregations(
  ctx: Context,
  viewer: Viewer,
  head: RoomHead,
  events: readonly StoredEvent[],
): Promise<Map<number, JsonObject>> {
  const parents = events.filter(({ event }) => event.stateKey === null)
  const { maxLifetime } = lifetimeIn(ctx, head)
  const nowTs = ctx.clock.now()
  const livingSinceTs = maxLifetime === null ? 0 : nowTs - maxLifetime
  const viewerNumber = await ctx.numbers.user(viewer.userId)
  const related = await relatedEvents(
    ctx.db.kysely,
    ctx.numbers,
    parents.map(({ event }) => event.eventId),
    livingSinceTs,
    nowTs,
    viewerNumber,
    ignoredNumbers,
  )
  const bundles = new Map<number, JsonObject>()
  if (related.size === 0) return bundles
  const children = [...related.values()].flatMap(({ thread, edit }) => [...(thread ? [thread.latest] : []), ...(edit ? [edit] : [])]) // prettier-ignore
  const visible = new Set((await visibleEvents(ctx, viewer.userId, head, children)).map(child => child.eventNumber))
  const membershipAt = await membershipHistory(ctx, viewer.userId, head)
  // The newest event of a thread shows its own edit.
  const latestIds = [...related.values()].flatMap(({ thread }) => (thread ? [thread.latest.event.eventId] : []))
  const ofLatest = await relatedEvents(
    ctx.db.kysely,
    ctx.numbers,
    latestIds,
    livingSinceTs,
    nowTs,
    viewerNumber,
    ignoredNumbers,
  )
  for (const parent of parents) {
    const found = related.get(parent.event.eventId)
    if (!found) continue
    const bundle: JsonObject = {}
    // Whoever redacted it may have been erased, and the redaction with them.
    const isWhole = (parent.flags & eventFlags.redacted) === 0
    if (isWhole && found.edit && visible.has(found.edit.eventNumber)) bundle['m.replace'] = shown(found.edit, null)
    if (found.thread && visible.has(found.thread.latest.eventNumber)) {
      const edit = ofLatest.get(found.thread.latest.event.eventId)?.edit ?? null
      bundle['m.thread'] = {
        latest_event: shown(found.thread.latest, edit),
        count: found.thread.count,
        current_user_participated: found.thread.hasParticipated || parent.event.sender === viewer.userId,
      }
    }
    if (found.references.length > 0) bundle['m.reference'] = { chunk: found.references.map(event_id => ({ event_id })) }
    if (Object.keys(bundle).length > 0) bundles.set(parent.eventNumber, bundle)
  }
  return bundles

  async function ignoredNumbers(): Promise<readonly number[]> {
    // Whoever never was in the room has said nothing there, and a list may name users who are not known at all.
    const ignored = [...(await ignoredBy(ctx, viewer.userId))].filter(userId => head.hasMember(userId))
    return ignored.length === 0 ? [] : [...(await ctx.numbers.users(ignored)).values()]
  }

  // Nobody's transaction ID goes along: the child may be another user's.
  function shown(child: StoredEvent, edit: StoredEvent | null): JsonObject {
    const age = Math.max(0, ctx.clock.now() - child.event.originServerTs)
    const unsigned: JsonObject = edit ? { age, 'm.relations': { 'm.replace': shown(edit, null) } } : { age }
    if (child.position !== null) unsigned['membership'] = membershipAt(child.position)
    return clientEvent(child.event, { unsigned }, true)
  }
}
