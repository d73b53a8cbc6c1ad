import { type EventId } from '../identifiers.ts'
import { type ReadonlyStateMap, StateMap } from '../state-map.ts'

/** State sets taken apart: what they agree on, and for every other (type, state key) the events that they name. */
export interface Separated {
  readonly unconflicted: StateMap<EventId>
  readonly conflicted: StateMap<ReadonlySet<EventId>>
}

/**
 * Takes state sets apart. In room version 1 a state without the key takes no part in a conflict; since then
 * (`absenceConflicts`) it does, so a key is unconflicted only if every state has the same event for it.
 * https://spec.matrix.org/v1.19/rooms/v1/#state-resolution, https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function separate(stateSets: readonly ReadonlyStateMap<EventId>[], absenceConflicts: boolean): Separated {
  const candidates = new StateMap<{ readonly events: Set<EventId>; count: number }>()
  for (const stateSet of stateSets) {
    for (const [type, stateKey, eventId] of stateSet) {
      const candidate = candidates.get(type, stateKey)
      if (candidate === undefined) candidates.set(type, stateKey, { events: new Set([eventId]), count: 1 })
      else {
        candidate.events.add(eventId)
        candidate.count++
      }
    }
  }
  const unconflicted = new StateMap<EventId>()
  const conflicted = new StateMap<ReadonlySet<EventId>>()
  for (const [type, stateKey, { events, count }] of candidates) {
    const [first] = events
    const isAgreed = events.size === 1 && (count === stateSets.length || !absenceConflicts)
    if (isAgreed && first !== undefined) unconflicted.set(type, stateKey, first)
    else conflicted.set(type, stateKey, events)
  }
  return { unconflicted, conflicted }
}
