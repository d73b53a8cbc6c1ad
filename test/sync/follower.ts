import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, type Person, path, type Query, text } from '../harness/people.ts'

/** What a client knows of a room that it follows. */
export interface FollowedRoom {
  /** Event IDs, oldest first. */
  timeline: string[]
  /** By type and state key: event IDs. */
  state: Map<string, string>
  membership: string
}

/**
 * A client that follows /sync as the specification says: it appends timelines, closes gaps with /messages, applies state. It
 * throws when an answer contradicts what it knows.
 */
export class Follower {
  readonly person: Person
  readonly rooms = new Map<string, FollowedRoom>()
  readonly query: Query
  since: string | undefined
  /** Messages to the device, each once. */
  readonly toDevice: string[] = []

  readonly #ask: (query: Query) => Promise<JsonObject>

  /** `ask` is what asks for a sync; the front door where absent. */
  constructor(
    person: Person,
    query: Query = {},
    ask: (query: Query) => Promise<JsonObject> = each => person.sync(each),
  ) {
    this.person = person
    this.query = query
    this.#ask = ask
  }

  get usesStateAfter(): boolean {
    return this.query['use_state_after'] === true
  }

  /** Syncs once and takes in the answer. `limit` is that of the timeline. */
  async follow(limit: number, more: JsonObject = {}, query: Query = {}): Promise<JsonObject> {
    const filter = JSON.stringify({ room: { timeline: { limit }, ...more } })
    const answer = await this.#ask({ ...this.query, ...query, filter, since: this.since })
    for (const room of Object.keys(at(answer, 'rooms', 'join') ?? {})) await this.#take(answer, 'join', room)
    for (const room of Object.keys(at(answer, 'rooms', 'leave') ?? {})) await this.#take(answer, 'leave', room)
    for (const event of objectsAt(answer, 'to_device', 'events')) this.toDevice.push(String(at(event, 'content', 'n')))
    this.since = text(answer, 'next_batch')
    return answer
  }

  async #take(answer: JsonObject, section: 'join' | 'leave', roomId: string): Promise<void> {
    const part = at(answer, 'rooms', section, roomId)
    let room = this.rooms.get(roomId)
    if (!room) this.rooms.set(roomId, (room = { timeline: [], state: new Map<string, string>(), membership: 'leave' }))
    const events = objectsAt(part, 'timeline', 'events')
    const fresh = events.map(event => text(event, 'event_id'))
    const isLimited = at(part, 'timeline', 'limited') === true
    if (isLimited) {
      const known = new Set(room.timeline)
      const gap = await this.#gap(roomId, known, timelinePrev(part))
      const found = [...gap, ...fresh].filter(eventId => !known.has(eventId))
      room.timeline.push(...found)
    } else {
      const twice = fresh.filter(eventId => room.timeline.includes(eventId))
      if (twice.length > 0) throw new Error(`told twice of ${twice.join(' ')}`)
      room.timeline.push(...fresh)
    }
    const apply = (event: JsonObject) => {
      if (typeof event['state_key'] !== 'string') return
      room.state.set(`${text(event, 'type')} ${event['state_key']}`, text(event, 'event_id'))
    }
    if (this.usesStateAfter) {
      for (const event of objectsAt(part, 'state_after', 'events')) apply(event)
    } else {
      for (const event of objectsAt(part, 'state', 'events')) apply(event)
      for (const event of events) apply(event)
    }
    room.membership = section
  }

  /** The events before a place, oldest first, back to one that is known or to the beginning. */
  async #gap(roomId: string, known: ReadonlySet<string>, from: string): Promise<string[]> {
    const found: string[] = []
    let token: string | undefined = from
    for (let page = 0; token !== undefined && page < 200; page++) {
      const answer = await this.person.get(path`/rooms/${roomId}/messages`, { dir: 'b', from: token, limit: 5 })
      for (const event of objectsAt(answer, 'chunk')) {
        const eventId = text(event, 'event_id')
        if (known.has(eventId)) return found.reverse()
        found.push(eventId)
      }
      const end = at(answer, 'end')
      token = typeof end === 'string' ? end : undefined
    }
    return found.reverse()
  }
}

function timelinePrev(part: ReturnType<typeof at>): string {
  const token = at(part, 'timeline', 'prev_batch')
  if (typeof token !== 'string') throw new Error('a limited timeline without prev_batch')
  return token
}
