import { type EventId } from '../identifiers.ts'
import { type ReadonlyStateMap } from '../state-map.ts'
import { type Separated } from './separate.ts'
import { type RecordingSource } from './source.ts'

/** The graph that `auth_events` make, discovered as it is walked; events have numbers in it. */
class AuthGraph {
  readonly ids: EventId[] = []
  readonly #numbers = new Map<EventId, number>()
  readonly #cited: (readonly number[] | undefined)[] = []
  readonly #source: RecordingSource

  constructor(source: RecordingSource) {
    this.#source = source
  }

  numberOf(id: EventId): number {
    const known = this.#numbers.get(id)
    if (known !== undefined) return known
    this.#numbers.set(id, this.ids.length)
    return this.ids.push(id) - 1
  }

  /** The auth events of an event that `numberOf` has seen. */
  citedBy(event: number): readonly number[] {
    const known = this.#cited[event]
    if (known !== undefined) return known
    const id = this.ids[event]
    const cited = id === undefined ? [] : this.#source.authEventsOf(id).map(authEvent => this.numberOf(authEvent))
    this.#cited[event] = cited
    return cited
  }

  /** Visits the events and all that they rest on, each once, but nothing beyond an event for which `enter` is false. */
  walk(from: Iterable<number>, enter: (event: number) => boolean): void {
    const stack = [...from]
    for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
      if (!enter(event)) continue
      for (const cited of this.citedBy(event)) stack.push(cited)
    }
  }
}

/**
 * The full conflicted set: the conflicted events, the auth difference and, for state resolution 2.1, the conflicted
 * state subgraph. What could not be walked is in `source.missing`, and then the answer is not to be used.
 *
 * The full auth chain of a state is taken to include the state's own events. The spec's text leaves them out, but the
 * servers of the network do it like this, and two servers that differ in it part ways.
 * https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function fullConflictedSet(
  stateSets: readonly ReadonlyStateMap<EventId>[],
  { unconflicted, conflicted }: Separated,
  source: RecordingSource,
  withSubgraph: boolean,
): ReadonlySet<EventId> {
  const graph = new AuthGraph(source)
  const conflictedEvents = new Set<number>()
  for (const events of conflicted.values()) for (const id of events) conflictedEvents.add(graph.numberOf(id))

  const chains = walkConflictedChains(graph, stateSets, conflicted)
  const result = authDifference(graph, chains, stateSets.length, conflictedEvents, unconflicted)
  for (const event of conflictedEvents) result.add(event)
  if (withSubgraph) for (const event of conflictedSubgraph(graph, chains, conflictedEvents)) result.add(event)
  return new Set([...result].flatMap(event => graph.ids[event] ?? []))
}

/** How many of the state sets reach each event from their conflicted events (these included). */
type Chains = ReadonlyMap<number, number>

function walkConflictedChains(
  graph: AuthGraph,
  stateSets: readonly ReadonlyStateMap<EventId>[],
  conflicted: ReadonlyStateMap<ReadonlySet<EventId>>,
): Chains {
  const counts = new Map<number, number>()
  for (const stateSet of stateSets) {
    const own: number[] = []
    for (const [type, stateKey] of conflicted) {
      const id = stateSet.get(type, stateKey)
      if (id !== undefined) own.push(graph.numberOf(id))
    }
    const seen = new Set<number>()
    graph.walk(own, event => {
      if (seen.has(event)) return false
      seen.add(event)
      counts.set(event, (counts.get(event) ?? 0) + 1)
      return true
    })
  }
  return counts
}

/**
 * ∪Cᵢ − ∩Cᵢ. The chains of unconflicted events belong to every Cᵢ, so only events that the conflicted ones reach can
 * be in the difference, and of those only the ones that no unconflicted event reaches. Conflicted events themselves
 * are left undecided, for they are in the full conflicted set in any case.
 */
function authDifference(
  graph: AuthGraph,
  chains: Chains,
  stateSetCount: number,
  conflictedEvents: ReadonlySet<number>,
  unconflicted: ReadonlyStateMap<EventId>,
): Set<number> {
  const difference = new Set<number>()
  for (const [event, count] of chains) {
    if (count < stateSetCount && !conflictedEvents.has(event)) difference.add(event)
  }
  if (difference.size === 0) return difference
  const seen = new Set<number>()
  for (const id of unconflicted.values()) {
    graph.walk([graph.numberOf(id)], event => {
      // An event in all chains rests on events in all chains: nothing in the difference lies beyond it.
      if (seen.has(event) || chains.get(event) === stateSetCount) return false
      seen.add(event)
      difference.delete(event)
      return true
    })
    if (difference.size === 0) break
  }
  return difference
}

/**
 * The events on paths between conflicted events (MSC4297): all that the walk from the conflicted events met is on the
 * way down from one; of these, the ones that lead on to a conflicted event.
 */
function conflictedSubgraph(graph: AuthGraph, chains: Chains, conflictedEvents: ReadonlySet<number>): Set<number> {
  const citing = new Map<number, number[]>()
  for (const event of chains.keys()) {
    for (const cited of graph.citedBy(event)) {
      const known = citing.get(cited)
      if (known === undefined) citing.set(cited, [event])
      else known.push(event)
    }
  }
  const subgraph = new Set<number>()
  const stack = [...conflictedEvents]
  for (let event = stack.pop(); event !== undefined; event = stack.pop()) {
    if (subgraph.has(event)) continue
    subgraph.add(event)
    for (const next of citing.get(event) ?? []) stack.push(next)
  }
  return subgraph
}
