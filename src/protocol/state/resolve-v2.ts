import { type Event } from '../event.ts'
import { type EventId } from '../identifiers.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type ReadonlyStateMap, StateMap } from '../state-map.ts'
import { fullConflictedSet } from './full-conflicted-set.ts'
import { applyAuthorised } from './iterative-auth-checks.ts'
import { mainlineOrdering, reverseTopologicalPowerOrdering } from './orderings.ts'
import { separate } from './separate.ts'
import { type RecordingSource } from './source.ts'

/**
 * State resolution 2 (room versions 2 to 11) and 2.1 (12). `null` if events were missing: `source.missing` has them.
 * https://spec.matrix.org/v1.19/rooms/v2/#state-resolution, https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
export function resolveVersion2(
  stateSets: readonly ReadonlyStateMap<EventId>[],
  version: RoomVersion,
  source: RecordingSource,
): StateMap<EventId> | null {
  const separated = separate(stateSets, true)
  const unconflicted = new StateMap<EventId>()
  for (const [type, stateKey, id] of separated.unconflicted) {
    if (!source.isRejected(id)) unconflicted.set(type, stateKey, id)
  }
  if (separated.conflicted.size === 0) return unconflicted

  const isVersion21 = version.stateResolution === 'v2.1'
  const conflictedIds = fullConflictedSet(stateSets, separated, source, isVersion21)
  const conflicted = source.getAll(conflictedIds)
  for (const event of conflicted) source.getAll(event.authEvents)
  if (source.missing.size > 0) return null

  // 1. Power events and what they rest on, as far as it is conflicted
  const powerEvents = withConflictedChains(conflicted.filter(isPowerEvent), conflicted)
  const ordered = reverseTopologicalPowerOrdering(powerEvents, version, source)

  // 2. From the unconflicted state; from nothing in 2.1
  const base = isVersion21 ? new StateMap<EventId>() : unconflicted
  const resolved = new StateMap<EventId>()
  applyAuthorised(ordered, resolved, base, version, source)

  // 3. The others, along the mainline
  const done = new Set(powerEvents)
  const others = conflicted.filter(event => !done.has(event))
  const powerLevelsId = resolved.get('m.room.power_levels', '') ?? base.get('m.room.power_levels', '')
  const powerLevelsEvent = powerLevelsId === undefined ? null : (source.get(powerLevelsId) ?? null)
  const alongMainline = mainlineOrdering(others, powerLevelsEvent, source)

  // 4.
  applyAuthorised(alongMainline, resolved, base, version, source)
  if (source.missing.size > 0) return null

  // 5. The unconflicted state has the last word
  for (const [type, stateKey, id] of unconflicted) resolved.set(type, stateKey, id)
  return resolved
}

/** https://spec.matrix.org/v1.19/rooms/v12/#definitions. A create event, if it ever is in conflict, goes first too. */
function isPowerEvent(event: Event): boolean {
  switch (event.type) {
    case 'm.room.create':
    case 'm.room.power_levels':
    case 'm.room.join_rules':
      return event.stateKey === ''
    case 'm.room.member': {
      const membership = event.content['membership']
      return (membership === 'leave' || membership === 'ban') && event.sender !== event.stateKey
    }
    default:
      return false
  }
}

/**
 * The events and those of their auth chains that are conflicted, as far as a path leads to them through conflicted
 * events. A path that leaves the conflicted set and comes back, which 2.1 makes impossible, is not followed in 2: the
 * spec's text would have it, but the servers of the network agree on not doing it.
 */
function withConflictedChains(from: readonly Event[], conflicted: readonly Event[]): Event[] {
  const byId = new Map(conflicted.map(event => [event.eventId, event]))
  const found = new Set<Event>()
  const stack = [...from]
  for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
    if (found.has(event)) continue
    found.add(event)
    for (const id of event.authEvents) {
      const cited = byId.get(id)
      if (cited !== undefined) stack.push(cited)
    }
  }
  return [...found]
}
