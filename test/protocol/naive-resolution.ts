import { authEventsFor } from '../../src/protocol/auth/auth-events.ts'
import { authorise } from '../../src/protocol/auth/authorise.ts'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId } from '../../src/protocol/identifiers.ts'
import { isJsonObject } from '../../src/protocol/json.ts'
import { type RoomVersion } from '../../src/protocol/room-versions.ts'
import { type ReadonlyStateMap, StateMap } from '../../src/protocol/state-map.ts'
import { createHash } from 'node:crypto'

/**
 * State resolution a second time: the sentences of the spec one after another, without caches, numbers or bitmaps, to
 * compare the real one with. It shares nothing with it but the authorisation rules. Every event must be in `events`.
 * Two readings of the text are those of the network's servers, not the letter: a state's full auth chain includes the
 * state's own events, and step 1 follows auth chains through the full conflicted set only. Rejected events are never
 * applied.
 */
export class NaiveResolution {
  readonly #version: RoomVersion
  readonly #events: ReadonlyMap<EventId, Event>
  readonly #rejected: ReadonlySet<EventId>

  constructor(version: RoomVersion, events: ReadonlyMap<EventId, Event>, rejected: ReadonlySet<EventId>) {
    this.#version = version
    this.#events = events
    this.#rejected = rejected
  }

  resolve(states: readonly ReadonlyStateMap<EventId>[]): StateMap<EventId> {
    return this.#version.stateResolution === 'v1' ? this.#resolve1(states) : this.#resolve2(states)
  }

  #event(id: EventId): Event {
    const event = this.#events.get(id)
    if (event === undefined) throw new Error(`no event ${id}`)
    return event
  }

  #isAccepted(id: EventId): boolean {
    return !this.#rejected.has(id)
  }

  /** "the set containing all of E's auth events, all of their auth events, and so on recursively" */
  #authChain(id: EventId): Set<EventId> {
    const chain = new Set<EventId>()
    const add = (of: EventId): void => {
      for (const cited of this.#event(of).authEvents) {
        if (chain.has(cited)) continue
        chain.add(cited)
        add(cited)
      }
    }
    add(id)
    return chain
  }

  #cites(event: Event, type: string): Event | null {
    const cited = event.authEvents.map(id => this.#event(id))
    return cited.find(other => other.type === type && other.stateKey === '') ?? null
  }

  #create(event: Event): Event | null {
    if (!this.#version.roomIdIsCreateHash) return this.#cites(event, 'm.room.create')
    return [...this.#events.values()].find(({ eventId }) => eventId.slice(1) === event.roomId.slice(1)) ?? null
  }

  /** The unconflicted state map and the full conflicted set of a room of version 2 or later. */
  separate(states: readonly ReadonlyStateMap<EventId>[]): {
    unconflicted: StateMap<EventId>
    fullConflictedSet: ReadonlySet<EventId>
  } {
    // "If a given key K is present in every S with the same value V in each state map, then (K, V) belongs to the
    // unconflicted state map. Otherwise, V belongs to the conflicted state set."
    const unconflicted = new StateMap<EventId>()
    const conflictedStateSet = new Set<EventId>()
    for (const state of states) {
      for (const [type, stateKey, id] of state) {
        if (states.every(other => other.get(type, stateKey) === id)) unconflicted.set(type, stateKey, id)
        else conflictedStateSet.add(id)
      }
    }

    // "∪C − ∩C"
    const chains = states.map(state => {
      const chain = new Set<EventId>()
      for (const id of state.values()) for (const each of [id, ...this.#authChain(id)]) chain.add(each)
      return chain
    })
    const union = new Set(chains.flatMap(chain => [...chain]))
    const authDifference = [...union].filter(id => !chains.every(chain => chain.has(id)))

    // "The union of all such paths between any pair of events in the conflicted state set (including endpoints)"
    const subgraph = new Set<EventId>()
    if (this.#version.stateResolution === 'v2.1') {
      for (const from of conflictedStateSet) {
        for (const between of [from, ...this.#authChain(from)]) {
          const beyond = this.#authChain(between)
          if ([...conflictedStateSet].some(to => to !== from && (to === between || beyond.has(to))))
            subgraph.add(between)
        }
      }
    }
    // "the union of the conflicted state set, the conflicted state subgraph, and the auth difference"; without a
    // conflict there is nothing to resolve
    const isConflicted = conflictedStateSet.size > 0
    const fullConflictedSet = new Set(isConflicted ? [...conflictedStateSet, ...subgraph, ...authDifference] : [])
    return { unconflicted, fullConflictedSet }
  }

  #resolve2(states: readonly ReadonlyStateMap<EventId>[]): StateMap<EventId> {
    const { unconflicted, fullConflictedSet } = this.separate(states)
    // 1.
    const chosen = new Set([...fullConflictedSet].filter(id => this.#isPowerEvent(this.#event(id))))
    for (let size = -1; size !== chosen.size;) {
      size = chosen.size
      for (const id of [...chosen]) {
        for (const cited of this.#event(id).authEvents) if (fullConflictedSet.has(cited)) chosen.add(cited)
      }
    }
    const powerOrder = this.#reverseTopologicalPowerOrdering(chosen)

    // 2.
    const start = new StateMap<EventId>()
    if (this.#version.stateResolution === 'v2') {
      for (const [type, stateKey, id] of unconflicted) if (this.#isAccepted(id)) start.set(type, stateKey, id)
    }
    const partial = this.#iterativeAuthChecks(start, powerOrder)

    // 3.
    const remaining = [...fullConflictedSet].filter(id => !chosen.has(id))
    const powerLevels = partial.get('m.room.power_levels', '')
    const mainlineOrder = this.#mainlineOrdering(remaining, powerLevels)

    // 4.
    const result = this.#iterativeAuthChecks(partial, mainlineOrder)

    // 5.
    for (const [type, stateKey, id] of unconflicted) if (this.#isAccepted(id)) result.set(type, stateKey, id)
    return result
  }

  #isPowerEvent(event: Event): boolean {
    if (event.type === 'm.room.power_levels' || event.type === 'm.room.join_rules') return event.stateKey === ''
    if (event.type === 'm.room.create') return true
    if (event.type !== 'm.room.member' || event.sender === event.stateKey) return false
    return event.content['membership'] === 'leave' || event.content['membership'] === 'ban'
  }

  /** "when looking at their respective auth_events" */
  #senderLevel(event: Event): number {
    const create = this.#create(event)
    if (create !== null && this.#version.privilegedCreators) {
      const additional = create.content['additional_creators']
      if (event.sender === create.sender) return Infinity
      if (Array.isArray(additional) && additional.includes(event.sender)) return Infinity
    }
    const powerLevels = this.#cites(event, 'm.room.power_levels')
    if (powerLevels === null) {
      const creator = this.#version.implicitRoomCreator ? create?.sender : create?.content['creator']
      return creator === event.sender ? 100 : 0
    }
    const users = powerLevels.content['users']
    const level = isJsonObject(users) ? users[event.sender] : undefined
    return Number(level ?? powerLevels.content['users_default'] ?? 0)
  }

  /** "at each step selecting, among all the candidate vertices, the smallest vertex" */
  #reverseTopologicalPowerOrdering(ids: ReadonlySet<EventId>): EventId[] {
    const isLess = (x: Event, y: Event): boolean => {
      const [levelOfX, levelOfY] = [this.#senderLevel(x), this.#senderLevel(y)]
      if (levelOfX !== levelOfY) return levelOfX > levelOfY
      if (x.originServerTs !== y.originServerTs) return x.originServerTs < y.originServerTs
      return x.eventId < y.eventId
    }
    const ordered: EventId[] = []
    const left = new Set(ids)
    while (left.size > 0) {
      const candidates = [...left]
        .map(id => this.#event(id))
        .filter(event => !event.authEvents.some(id => left.has(id)))
      const smallest = candidates.reduce((best, event) => (isLess(event, best) ? event : best))
      ordered.push(smallest.eventId)
      left.delete(smallest.eventId)
    }
    return ordered
  }

  #powerLevelsBehind(id: EventId): EventId[] {
    const list: EventId[] = []
    for (let next = this.#cites(this.#event(id), 'm.room.power_levels'); next !== null;) {
      list.push(next.eventId)
      next = this.#cites(next, 'm.room.power_levels')
    }
    return list
  }

  #mainlineOrdering(ids: readonly EventId[], powerLevels: EventId | undefined): EventId[] {
    const mainline = powerLevels === undefined ? [] : [powerLevels, ...this.#powerLevelsBehind(powerLevels)]
    const position = (id: EventId): number => {
      const first = this.#powerLevelsBehind(id).find(behind => mainline.includes(behind))
      return first === undefined ? Infinity : mainline.indexOf(first)
    }
    return [...ids].sort((x, y) => {
      const [positionOfX, positionOfY] = [position(x), position(y)]
      if (positionOfX !== positionOfY) return positionOfX > positionOfY ? -1 : 1
      const [eventX, eventY] = [this.#event(x), this.#event(y)]
      if (eventX.originServerTs !== eventY.originServerTs) return eventX.originServerTs - eventY.originServerTs
      return x < y ? -1 : 1
    })
  }

  #iterativeAuthChecks(state: ReadonlyStateMap<EventId>, ids: readonly EventId[]): StateMap<EventId> {
    const result = new StateMap<EventId>(state)
    for (const id of ids) {
      const event = this.#event(id)
      if (event.stateKey === null || !this.#isAccepted(id)) continue
      // "If a key that is required for checking the authorisation rules is not present in the state, then the
      // appropriate state event from the event's auth_events is used if the auth event is not rejected."
      const required = new StateMap<Event>()
      const create = this.#create(event)
      for (const [type, stateKey] of [['m.room.create', ''], ...authEventsFor(event, this.#version)] as const) {
        const known = result.get(type ?? '', stateKey ?? '')
        const cited = event.authEvents.find(cited => {
          const other = this.#event(cited)
          return other.type === type && other.stateKey === stateKey && this.#isAccepted(cited)
        })
        const used = known ?? cited ?? (type === 'm.room.create' ? create?.eventId : undefined)
        if (used !== undefined) required.set(type ?? '', stateKey ?? '', this.#event(used))
      }
      if (authorise(event, required, this.#version, { isSignedBy: () => true }).allowed) {
        result.set(event.type, event.stateKey, id)
      }
    }
    return result
  }

  #resolve1(states: readonly ReadonlyStateMap<EventId>[]): StateMap<EventId> {
    // "excluding any conflicting events": those of which the states have different ones for the same key
    const result = new StateMap<EventId>()
    const conflicts = new StateMap<EventId[]>()
    for (const state of states) {
      for (const [type, stateKey] of state) {
        const all = states.flatMap(other => other.get(type, stateKey) ?? [])
        const different = [...new Set(all)]
        const [only] = different
        if (different.length > 1)
          conflicts.set(
            type,
            stateKey,
            different.filter(id => this.#isAccepted(id)),
          )
        else if (only !== undefined && this.#isAccepted(only)) result.set(type, stateKey, only)
      }
    }
    const sha1 = (id: EventId): string => createHash('sha1').update(id).digest('hex')
    const sorted = (ids: readonly EventId[]): EventId[] =>
      [...ids].sort((x, y) => {
        const difference = this.#event(x).depth - this.#event(y).depth
        if (difference !== 0) return difference
        return sha1(x) < sha1(y) ? 1 : -1
      })
    const isAllowed = (id: EventId, state: ReadonlyStateMap<EventId>): boolean => {
      const get = (type: string, stateKey: string): Event | undefined => {
        const known = state.get(type, stateKey)
        return known === undefined ? undefined : this.#event(known)
      }
      return authorise(this.#event(id), { get }, this.#version, { isSignedBy: () => true }).allowed
    }
    for (const kind of ['m.room.power_levels', 'm.room.join_rules', 'm.room.member']) {
      const before = new StateMap<EventId>(result)
      for (const [type, stateKey, ids] of conflicts) {
        if (type !== kind) continue
        const [first, ...subsequent] = sorted(ids)
        if (first === undefined) continue
        const own = new StateMap<EventId>(before)
        own.set(type, stateKey, first)
        for (const id of subsequent) {
          if (!isAllowed(id, own)) break
          own.set(type, stateKey, id)
        }
        result.set(type, stateKey, own.get(type, stateKey) ?? first)
      }
    }
    const decided = new StateMap<EventId>(result)
    for (const [type, stateKey, ids] of conflicts) {
      if (['m.room.power_levels', 'm.room.join_rules', 'm.room.member'].includes(type)) continue
      const descending = sorted(ids).reverse()
      // If none passes, the text says nothing; other servers take the one of least depth.
      const picked = descending.find(id => isAllowed(id, decided)) ?? descending.at(-1)
      if (picked !== undefined) result.set(type, stateKey, picked)
    }
    return result
  }
}
