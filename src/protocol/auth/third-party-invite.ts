import { type Event, type Verdict, allowed } from '../event.ts'
import { type JsonObject, isJsonObject } from '../json.ts'
import { type RoomVersion } from '../room-versions.ts'
import { signingKeyIds, verifyJson } from '../signatures.ts'
import { type AuthState, membershipOf } from './auth-state.ts'
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
  if (isSignedByAny(signed, publicKeysOf(invite))) return allowed
  // .8
  return refuse(version, 'invite.third_party.otherwise', 'no signature matches a key of the third-party invite')
}

/**
 * How many signatures are verified for one invite, at most. An identity server makes one signature with one of two keys;
 * an event could hold hundreds of both, and verifying each with each would take a minute.
 */
const verificationsLimit = 64

/** True if any signature on `signed` is valid under any of the keys. */
function isSignedByAny(signed: JsonObject, publicKeys: readonly string[]): boolean {
  const { signatures } = signed
  let verifications = 0
  for (const entity of isJsonObject(signatures) ? Object.keys(signatures) : []) {
    for (const keyId of signingKeyIds(signed, entity)) {
      for (const publicKey of publicKeys) {
        if (verifications++ === verificationsLimit) return false
        if (verifyJson(signed, entity, keyId, publicKey)) return true
      }
    }
  }
  return false
}

/** The keys of an `m.room.third_party_invite`: `public_key` and those in `public_keys`, in base64. */
function publicKeysOf(invite: Event): readonly string[] {
  const { public_key: single, public_keys: several } = invite.content
  const listed = Array.isArray(several) ? several.map(entry => (isJsonObject(entry) ? entry['public_key'] : null)) : []
  return [single, ...listed].filter(key => typeof key === 'string')
}
