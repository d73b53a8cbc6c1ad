import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type EventId } from '../../src/protocol/identifiers.ts'
import { fullConflictedSet } from '../../src/protocol/state/full-conflicted-set.ts'
import { resolveState } from '../../src/protocol/state/resolve.ts'
import { separate } from '../../src/protocol/state/separate.ts'
import { type EventSource, RecordingSource } from '../../src/protocol/state/source.ts'
import { type ReadonlyStateMap, type StateMap } from '../../src/protocol/state-map.ts'
import { type Dag, buildDag, scripts } from './dag-generator.ts'
import { NaiveResolution } from './naive-resolution.ts'

// The number of rooms on which both implementations are compared; a release run sets it much higher.
const comparedRooms = Number(process.env['LETHE_PROPERTY_RUNS'] ?? 300)
// The other laws follow where both implementations agree and one of them obeys; fewer rooms will do.
const otherRooms = Math.ceil(comparedRooms / 4)

function sourceOf({ events, rejected }: Dag): EventSource {
  return { get: id => events.get(id), isRejected: id => rejected.has(id) }
}

function resolve(dag: Dag, stateSets: readonly ReadonlyStateMap<EventId>[]): StateMap<EventId> {
  const resolution = resolveState(stateSets, dag.version, sourceOf(dag))
  if (!resolution.ok) throw new Error(`missing ${resolution.missing.join()}`)
  return resolution.state
}

const entries = (state: ReadonlyStateMap<EventId>): string[] => [...state].map(entry => JSON.stringify(entry)).sort()

function holds(property: (dag: Dag) => void, numRuns = otherRooms): void {
  fc.assert(
    fc.property(scripts, script => {
      property(buildDag(script))
    }),
    { numRuns },
  )
}

describe('state resolution', () => {
  it('is what the letter of the spec makes of it', () => {
    holds(dag => {
      const naive = new NaiveResolution(dag.version, dag.events, dag.rejected)
      expect(entries(resolve(dag, dag.stateSets))).toEqual(entries(naive.resolve(dag.stateSets)))
    }, comparedRooms)
  })

  it('finds the full conflicted set of the spec', () => {
    holds(dag => {
      if (dag.version.stateResolution === 'v1') return
      const source = new RecordingSource(sourceOf(dag))
      const separated = separate(dag.stateSets, true)
      const withSubgraph = dag.version.stateResolution === 'v2.1'
      const found = fullConflictedSet(dag.stateSets, separated, source, withSubgraph)
      const naive = new NaiveResolution(dag.version, dag.events, dag.rejected).separate(dag.stateSets)
      if (separated.conflicted.size > 0) expect([...found].sort()).toEqual([...naive.fullConflictedSet].sort())
      expect(entries(separated.unconflicted)).toEqual(entries(naive.unconflicted))
    }, comparedRooms)
  })

  it('does not depend on the order or the number of equal states', () => {
    holds(dag => {
      const result = entries(resolve(dag, dag.stateSets))
      expect(entries(resolve(dag, [...dag.stateSets].reverse()))).toEqual(result)
      expect(entries(resolve(dag, [...dag.stateSets.slice(1), ...dag.stateSets.slice(0, 2)]))).toEqual(result)
    })
  })

  it('leaves alone a state that is resolved with itself or with nothing', () => {
    holds(dag => {
      for (const state of dag.stateSets) {
        expect(entries(resolve(dag, [state, state]))).toEqual(entries(state))
        expect(entries(resolve(dag, [state]))).toEqual(entries(state))
      }
    })
  })

  it('never has a rejected event in its result, always the create event, and only events with whole auth chains', () => {
    holds(dag => {
      // The states themselves hold rejected events here, as those of a lying server would.
      const lied = dag.stateSets.map((state, index) => {
        const copy = resolve(dag, [state])
        for (const id of dag.rejected) {
          const event = dag.events.get(id)
          if (event?.type === 'm.room.create' || typeof event?.stateKey !== 'string') continue
          if (index === 0 || id.length % 2 === 0) copy.set(event.type, event.stateKey, id)
        }
        return copy
      })
      for (const stateSets of [dag.stateSets, lied]) {
        const result = resolve(dag, stateSets)
        expect([...result.values()].filter(id => dag.rejected.has(id))).toEqual([])
        expect(result.get('m.room.create', '')).toBe(dag.create)
        const pending = [...result.values()]
        const seen = new Set<EventId>()
        for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
          if (seen.has(id)) continue
          seen.add(id)
          const event = dag.events.get(id)
          expect(event).toBeDefined()
          pending.push(...(event?.authEvents ?? []))
        }
      }
    })
  })

  it('names what is missing until all of it is there, and comes to the same result', () => {
    holds(dag => {
      const loaded = new Set<EventId>()
      const source: EventSource = {
        get: id => (loaded.has(id) ? dag.events.get(id) : undefined),
        isRejected: id => dag.rejected.has(id),
      }
      for (let round = 0; round <= dag.events.size; round++) {
        const resolution = resolveState(dag.stateSets, dag.version, source)
        if (resolution.ok) {
          expect(entries(resolution.state)).toEqual(entries(resolve(dag, dag.stateSets)))
          return
        }
        expect(resolution.missing.length).toBeGreaterThan(0)
        for (const id of resolution.missing) {
          expect(loaded.has(id)).toBe(false)
          loaded.add(id)
        }
      }
      throw new Error('the resolution never had enough')
    })
  })

  it('may be told the edges of the auth graph apart from the events', () => {
    holds(dag => {
      const source: EventSource = { ...sourceOf(dag), authEventsOf: id => dag.events.get(id)?.authEvents }
      const resolution = resolveState(dag.stateSets, dag.version, source)
      expect(resolution.ok && entries(resolution.state)).toEqual(entries(resolve(dag, dag.stateSets)))
    })
  })
})
