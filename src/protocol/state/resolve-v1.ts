import { authorise } from '../auth/authorise.ts'
import { type Event } from '../event.ts'
import { type EventId } from '../identifiers.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type ReadonlyStateMap, StateMap } from '../state-map.ts'
import { sha1OfEventId } from './event-id-hashes.ts'
import { verifiedOnReceipt } from './iterative-auth-checks.ts'
import { separate } from './separate.ts'
import { type RecordingSource } from './source.ts'

type Conflict = readonly [type: string, stateKey: string, ids: ReadonlySet<EventId>]

/**
 * State resolution of room version 1. `null` if events were missing: `source.missing` has them.
 * https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
 */
export function resolveVersion1(
  stateSets: readonly ReadonlyStateMap<EventId>[],
  version: RoomVersion,
  source: RecordingSource,
): StateMap<EventId> | null {
  const { unconflicted, conflicted } = separate(stateSets, false)
  for (const ids of conflicted.values()) source.getAll(ids)
  if (source.missing.size > 0) return null

  const resolved = new StateMap<EventId>()
  for (const [type, stateKey, id] of unconflicted) if (!source.isRejected(id)) resolved.set(type, stateKey, id)

  const isAllowed = (event: Event, previous: Event | null): boolean => {
    const get = (type: string, stateKey: string): Event | undefined => {
      if (previous !== null && type === previous.type && stateKey === previous.stateKey) return previous
      const id = resolved.get(type, stateKey)
      return id === undefined ? undefined : source.get(id)
    }
    return authorise(event, { get }, version, verifiedOnReceipt).allowed
  }

  // Ascending depth, then descending SHA-1: from each event to the next as long as the rules allow it.
  const lastAllowed = (ids: ReadonlySet<EventId>): Event | null => {
    let last: Event | null = null
    for (const event of inOrder(ids, source)) {
      if (last !== null && !isAllowed(event, last)) break
      last = event
    }
    return last
  }
  // The greatest depth and, of these, the least SHA-1 that the rules allow. If they allow none, the servers of the
  // network take the one of least depth, of which the spec does not speak; a room keeps, say, its history visibility.
  const bestAllowed = (ids: ReadonlySet<EventId>): Event | null => {
    const events = inOrder(ids, source)
    return events.findLast(event => isAllowed(event, null)) ?? events[0] ?? null
  }

  const passes: [isMeant: (conflict: Conflict) => boolean, choose: (ids: ReadonlySet<EventId>) => Event | null][] = [
    [([type, stateKey]) => type === 'm.room.power_levels' && stateKey === '', lastAllowed],
    [([type]) => type === 'm.room.join_rules', lastAllowed],
    [([type]) => type === 'm.room.member', lastAllowed],
    [() => true, bestAllowed],
  ]
  let rest: readonly Conflict[] = [...conflicted]
  for (const [isMeant, choose] of passes) {
    // What a pass decides enters the state together, after the pass, so that the order within it does not matter.
    const chosen: Event[] = []
    for (const [, , ids] of rest.filter(isMeant)) {
      const event = choose(ids)
      if (event !== null) chosen.push(event)
    }
    for (const { type, stateKey, eventId } of chosen) if (stateKey !== null) resolved.set(type, stateKey, eventId)
    rest = rest.filter(conflict => !isMeant(conflict))
  }
  return source.missing.size > 0 ? null : resolved
}

/** The events that were not rejected, by ascending depth, then by descending SHA-1 of their IDs. */
function inOrder(ids: ReadonlySet<EventId>, source: RecordingSource): Event[] {
  const hashed = source
    .getAll(ids)
    .filter(event => !source.isRejected(event.eventId))
    .map(event => ({ event, hash: sha1OfEventId(event.eventId) }))
  hashed.sort((left, right) => left.event.depth - right.event.depth || (left.hash > right.hash ? -1 : 1))
  return hashed.map(({ event }) => event)
}
