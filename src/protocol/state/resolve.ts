import { type EventId } from '../identifiers.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type ReadonlyStateMap, type StateMap } from '../state-map.ts'
import { resolveVersion1 } from './resolve-v1.ts'
import { resolveVersion2 } from './resolve-v2.ts'
import { type EventSource, RecordingSource } from './source.ts'

/** The resolved state, or the events without which it cannot be told. */
export type Resolution =
  | { readonly ok: true; readonly state: StateMap<EventId> }
  | { readonly ok: false; readonly missing: readonly EventId[] }

/**
 * The resolution of a set of states, by the algorithm of the room's version. The result does not depend on the order of
 * the states and holds no rejected event.
 *
 * When events are missing, load them *with their auth chains* and call again: the auth chains of all conflicted events
 * are needed, those of the unconflicted ones mostly too, and events come to light only where the walk gets to. If one
 * of them cannot be had, the state cannot be told and whatever depends on it must be refused.
 * https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution
 */
export function resolveState(
  stateSets: readonly ReadonlyStateMap<EventId>[],
  version: RoomVersion,
  source: EventSource,
): Resolution {
  const recording = new RecordingSource(source)
  const resolve = version.stateResolution === 'v1' ? resolveVersion1 : resolveVersion2
  const state = resolve(stateSets, version, recording)
  return state === null ? { ok: false, missing: [...recording.missing] } : { ok: true, state }
}
