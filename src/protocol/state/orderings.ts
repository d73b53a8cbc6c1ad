import { compareCodePoints } from '../canonical-json.ts'
import { type Event } from '../event.ts'
import { type EventId } from '../identifiers.ts'
import { type PowerLevels, powerLevels } from '../power-levels.ts'
import { type RoomVersion } from '../room-versions.ts'
import { createEventOf } from './iterative-auth-checks.ts'
import { type RecordingSource } from './source.ts'

/** The event's auth event in that place of the state, if it cites one. */
function authEvent(event: Event, type: string, source: RecordingSource): Event | null {
  for (const id of event.authEvents) {
    const cited = source.get(id)
    if (cited?.type === type && cited.stateKey === '') return cited
  }
  return null
}

function compareTimestampsThenIds(left: Event, right: Event): number {
  return left.originServerTs - right.originServerTs || compareCodePoints(left.eventId, right.eventId)
}

/**
 * The reverse topological power ordering: auth events before the events that cite them; where that leaves a choice, the
 * sender with more power (as the event's own auth events say) first, then the earlier timestamp, then the lesser ID.
 * Events on a cycle, which only forged IDs of room versions 1 and 2 could make, are left out.
 * https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function reverseTopologicalPowerOrdering(
  events: readonly Event[],
  version: RoomVersion,
  source: RecordingSource,
): Event[] {
  const levelsByPowerLevels = new Map<EventId | null, PowerLevels>()
  const senderLevel = (event: Event): number => {
    const cited = authEvent(event, 'm.room.power_levels', source)
    const known = levelsByPowerLevels.get(cited?.eventId ?? null)
    if (known !== undefined) return known.userLevel(event.sender)
    const create = createEventOf(event, version, source) ?? null
    const levels = powerLevels(cited?.content ?? null, version, create)
    if (create !== null) levelsByPowerLevels.set(cited?.eventId ?? null, levels)
    return levels.userLevel(event.sender)
  }
  const levels = new Map(events.map(event => [event, senderLevel(event)]))
  const byPower = (left: Event, right: Event): number => {
    const difference = (levels.get(right) ?? 0) - (levels.get(left) ?? 0)
    // Two creators of infinite power have no difference that could be told.
    return (Number.isNaN(difference) ? 0 : difference) || compareTimestampsThenIds(left, right)
  }
  // The place of an event in this list stands for the event from here on, so that comparing is comparing numbers.
  const ranked = [...new Set(events)].sort(byPower)
  const ranks = new Map(ranked.map((event, rank) => [event.eventId, rank]))

  const waitingFor = new Uint32Array(ranked.length)
  const citing: number[][] = ranked.map(() => [])
  for (const [rank, event] of ranked.entries()) {
    for (const id of new Set(event.authEvents)) {
      const cited = ranks.get(id)
      if (cited === undefined) continue
      waitingFor[rank] = (waitingFor[rank] ?? 0) + 1
      citing[cited]?.push(rank)
    }
  }
  const candidates = new NumberHeap()
  for (const [rank, count] of waitingFor.entries()) if (count === 0) candidates.push(rank)
  const ordered: Event[] = []
  for (let rank = candidates.pop(); rank !== undefined; rank = candidates.pop()) {
    const event = ranked[rank]
    if (event !== undefined) ordered.push(event)
    for (const next of citing[rank] ?? []) {
      const count = (waitingFor[next] ?? 0) - 1
      waitingFor[next] = count
      if (count === 0) candidates.push(next)
    }
  }
  return ordered
}

/**
 * The mainline ordering based on a power levels event (`null` where the partially resolved state has none): events that
 * rest on earlier events of the mainline first, then by timestamp, then by ID.
 * https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function mainlineOrdering(
  events: readonly Event[],
  powerLevelsEvent: Event | null,
  source: RecordingSource,
): Event[] {
  /** Position on the mainline, or of what an event off the mainline rests on. */
  const positions = new Map<EventId, number>()
  let onMainline = powerLevelsEvent
  for (let position = 0; onMainline !== null && !positions.has(onMainline.eventId); position++) {
    positions.set(onMainline.eventId, position)
    onMainline = authEvent(onMainline, 'm.room.power_levels', source)
  }

  const positionOf = (event: Event): number => {
    const passed: EventId[] = []
    const seen = new Set<EventId>()
    let next = authEvent(event, 'm.room.power_levels', source)
    while (next !== null && !positions.has(next.eventId) && !seen.has(next.eventId)) {
      seen.add(next.eventId)
      passed.push(next.eventId)
      next = authEvent(next, 'm.room.power_levels', source)
    }
    const position = (next === null ? undefined : positions.get(next.eventId)) ?? Infinity
    for (const id of passed) positions.set(id, position)
    return position
  }

  const placed = events.map(event => ({ event, position: positionOf(event) }))
  placed.sort((left, right) => {
    if (left.position !== right.position) return left.position > right.position ? -1 : 1
    return compareTimestampsThenIds(left.event, right.event)
  })
  return placed.map(({ event }) => event)
}

/** Numbers out of which the smallest can be taken. */
class NumberHeap {
  readonly #heap: number[] = []

  push(value: number): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(value)
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent]
      if (above === undefined || above <= value) break
      heap[index] = above
      index = parent
    }
    heap[index] = value
  }

  pop(): number | undefined {
    const heap = this.#heap
    const smallest = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return smallest
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      const leftValue = heap[left] ?? Infinity
      const rightValue = heap[left + 1] ?? Infinity
      if (last <= leftValue && last <= rightValue) break
      const child = leftValue <= rightValue ? left : left + 1
      heap[index] = Math.min(leftValue, rightValue)
      index = child
    }
    heap[index] = last
    return smallest
  }
}
