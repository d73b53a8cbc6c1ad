import { type Event, type Verdict, allowed } from '../event.ts'
import { isJsonObject } from '../json.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type AuthState, type SignatureFacts, membershipOf } from './auth-state.ts'
import { refuse } from './rules.ts'

/**
 * The rules for an invite that has a `third_party_invite` (v1–v5 5.3.1; v6, v7 4.3.1; v8–v11 4.4.1; v12 5.4.1).
 * `target` is the invited user. https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authoriseThirdPartyInvite(
  event: Event,
  target: string,
  state: AuthState,
  version: RoomVersion,
  facts: SignatureFacts,
): Verdict {
  // .1
  if (membershipOf(target, state) === 'ban') {
    return refuse(version, 'invite.third_party.banned', 'the user is banned')
  }
  // .2
  const thirdPartyInvite = event.content['third_party_invite']
  const signed = isJsonObject(thirdPartyInvite) ? thirdPartyInvite['signed'] : undefined
  if (!isJsonObject(signed)) return refuse(version, 'invite.third_party.signed', 'it has nothing signed')
  // .3
  const { mxid, token } = signed
  if (typeof mxid !== 'string' || typeof token !== 'string') {
    return refuse(version, 'invite.third_party.properties', 'it lacks mxid or token')
  }
  // .4
  if (mxid !== target) return refuse(version, 'invite.third_party.mxid', 'it was made for another user')
  // .5
  const invite = state.get('m.room.third_party_invite', token)
  if (!invite) return refuse(version, 'invite.third_party.token', 'the room has no such third-party invite')
  // .6
  if (event.sender !== invite.sender) {
    return refuse(version, 'invite.third_party.sender', 'another user made the third-party invite')
  }
  // .7
  if (facts.isThirdPartyInviteSigned?.(signed, publicKeysOf(invite)) === true) return allowed
  // .8
  return refuse(version, 'invite.third_party.otherwise', 'no signature matches a key of the third-party invite')
}

/**
 * The public keys in the content of an `m.room.third_party_invite`: `public_key` and those in `public_keys`, each a
 * string of base64 as it stands there. What is not a string is left out.
 */
export function publicKeysOf(invite: Event): readonly string[] {
  const { public_key: single, public_keys: several } = invite.content
  const listed = Array.isArray(several) ? several.map(entry => (isJsonObject(entry) ? entry['public_key'] : null)) : []
  return [single, ...listed].filter(key => typeof key === 'string')
}
