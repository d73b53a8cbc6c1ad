import { type Event } from '../event.ts'
import { type ServerName } from '../identifiers.ts'

/** The state against which an event is authorised: the create event and whatever else `authEventsFor` asks for. */
export interface AuthState {
  get(type: string, stateKey: string): Event | undefined
}

/** What the rules need to know and cannot find out, for the keys of servers are elsewhere. */
export interface AuthoriseOptions {
  /** True if the event carries a valid signature of that server. Without it, no server but the sender's has signed. */
  isSignedBy?(server: ServerName): boolean
}

/** A user's membership, `leave` for somebody who has never been in the room. */
export function membershipOf(user: string, state: AuthState): string {
  const membership = state.get('m.room.member', user)?.content['membership']
  return typeof membership === 'string' ? membership : 'leave'
}

/** The join rule: `invite` for a room without one, `unknown` (which lets nobody in) for one that is not a string. https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules */
export function joinRuleOf(state: AuthState): string {
  const joinRule = state.get('m.room.join_rules', '')?.content['join_rule']
  if (joinRule === undefined) return 'invite'
  return typeof joinRule === 'string' ? joinRule : 'unknown'
}
