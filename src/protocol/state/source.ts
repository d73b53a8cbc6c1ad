import { type Event } from '../event.ts'
import { type EventId } from '../identifiers.ts'

/** Where a resolution gets events from. All answers must stay the same while it runs. */
export interface EventSource {
  /** The event, or `undefined` if it is not at hand. Rejected events are to be given too. */
  get(id: EventId): Event | undefined
  /** True for an event that was rejected on receipt. Soft-failed events are not rejected. */
  isRejected(id: EventId): boolean
  /**
   * The `auth_events` of an event, or `undefined` if they are not at hand. A source that knows them without loading
   * events spares large rooms much reading, for most of an auth chain is only walked. Default: those of `get`.
   */
  authEventsOf?(id: EventId): readonly EventId[] | undefined
}

/** A source that remembers what it was asked for in vain. */
export class RecordingSource {
  readonly missing = new Set<EventId>()
  readonly #source: EventSource

  constructor(source: EventSource) {
    this.#source = source
  }

  /** The event; or `undefined`, and its ID is in `missing` from then on. */
  get(id: EventId): Event | undefined {
    const event = this.#source.get(id)
    if (event === undefined) this.missing.add(id)
    return event
  }

  /** Those of the events that are at hand; the others are in `missing` from then on. */
  getAll(ids: Iterable<EventId>): Event[] {
    const events: Event[] = []
    for (const id of ids) {
      const event = this.get(id)
      if (event !== undefined) events.push(event)
    }
    return events
  }

  /** The IDs of the event's auth events; none, and its ID is in `missing` from then on, if it is not at hand. */
  authEventsOf(id: EventId): readonly EventId[] {
    const known = this.#source.authEventsOf?.(id) ?? this.#source.get(id)?.authEvents
    if (known === undefined) this.missing.add(id)
    return known ?? []
  }

  isRejected(id: EventId): boolean {
    return this.#source.isRejected(id)
  }
}
