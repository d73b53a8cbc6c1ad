import { type AuthoriseOptions } from '../../../src/protocol/auth/auth-state.ts'
import { type RuleName } from '../../../src/protocol/auth/rules.ts'
import { type Event } from '../../../src/protocol/event.ts'
import { type EventId, type UserId } from '../../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../../src/protocol/json.ts'
import { type Draft, type RoomFixture } from '../room-fixture.ts'

/** An event to be authorised in the room it was made in. */
export interface Attempt {
  readonly event: Event
  readonly options?: AuthoriseOptions
  /** Events to count as rejected when it is the auth events that are judged. */
  readonly rejected?: readonly EventId[]
}

/** How a rule lets an event pass and how it refuses one. For a rule that can only allow, the refusal is another's. */
export interface RuleCase {
  readonly rule: RuleName
  /** True if the case is for `checkAuthEventsSelection`. */
  readonly onAuthEvents?: boolean
  readonly passes: (room: RoomFixture) => Attempt
  readonly refuses: (room: RoomFixture) => Attempt
  readonly refusedBy?: RuleName
}

/** Makes that event in the room as it is. */
export function attempt(draft: Draft, options?: AuthoriseOptions): (room: RoomFixture) => Attempt {
  return room => ({ event: room.event(draft), ...(options ? { options } : {}) })
}

/** A membership event; `target` is its state key. */
export function member(target: string | null, membership: string, sender: UserId, extra: JsonObject = {}): Draft {
  return { type: 'm.room.member', sender, stateKey: target, content: { membership, ...extra } }
}
