import { type Event } from '../event.ts'
import { type ServerName } from '../identifiers.ts'
import { type JsonObject } from '../json.ts'

/** The state against which an event is authorised: the create event and whatever else `authEventsFor` asks for. */
export interface AuthState {
  get(type: string, stateKey: string): Event | undefined
}

/**
 * What the rules need to know about signatures, found out beforehand where the keys are. What is not told counts as
 * not signed.
 */
export interface SignatureFacts {
  /** True if the event under authorisation carries a valid signature of that server. */
  isSignedBy?(server: ServerName): boolean
  /**
   * True if any signature in a third-party invite's `signed` object is valid under one of these public keys, which come
   * from the content of the `m.room.third_party_invite` event (unpadded base64).
   */
  isThirdPartyInviteSigned?(signed: JsonObject, publicKeys: readonly string[]): boolean
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
