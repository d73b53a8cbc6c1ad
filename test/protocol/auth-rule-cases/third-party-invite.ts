import { type UserId } from '../../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../../src/protocol/json.ts'
import { signJson, signingKeyFromSeed } from '../../../src/protocol/signatures.ts'
import { type RoomFixture, alice, bob, carol, erin, frank } from '../room-fixture.ts'
import { type Attempt, type RuleCase, attempt, member } from './case.ts'

const identityKey = signingKeyFromSeed(Buffer.alloc(32, 1), 'ed25519:0')
const otherKey = signingKeyFromSeed(Buffer.alloc(32, 2), 'ed25519:0')
interface ThirdPartyInvite {
  readonly sender?: UserId
  readonly target?: UserId
  readonly signed?: JsonObject | null
  readonly signer?: typeof identityKey
}
function thirdParty({ sender = bob, target = frank, signed = {}, signer = identityKey }: ThirdPartyInvite) {
  return (room: RoomFixture): Attempt => {
    room.send({
      type: 'm.room.third_party_invite',
      sender: bob,
      stateKey: 'token',
      content: { public_key: otherKey.publicKey, public_keys: [{ public_key: identityKey.publicKey }] },
    })
    const object = signed === null ? null : signJson({ mxid: frank, token: 'token', ...signed }, 'id.example', signer)
    return attempt(member(target, 'invite', sender, { third_party_invite: object === null ? {} : { signed: object } }))(
      room,
    )
  }
}
const strangerKey = signingKeyFromSeed(Buffer.alloc(32, 3), 'ed25519:0')

/** Invites that follow from a third-party invite. */
export const thirdPartyInviteCases: RuleCase[] = [
  {
    rule: 'invite.third_party.banned',
    passes: thirdParty({}),
    refuses: thirdParty({ target: erin, signed: { mxid: erin } }),
  },
  { rule: 'invite.third_party.signed', passes: thirdParty({}), refuses: thirdParty({ signed: null }) },
  { rule: 'invite.third_party.properties', passes: thirdParty({}), refuses: thirdParty({ signed: { mxid: null } }) },
  { rule: 'invite.third_party.mxid', passes: thirdParty({}), refuses: thirdParty({ signed: { mxid: carol } }) },
  { rule: 'invite.third_party.token', passes: thirdParty({}), refuses: thirdParty({ signed: { token: 'another' } }) },
  { rule: 'invite.third_party.sender', passes: thirdParty({}), refuses: thirdParty({ sender: alice }) },
  {
    rule: 'invite.third_party.signature',
    passes: thirdParty({ signer: otherKey }),
    refuses: thirdParty({ signer: strangerKey }),
    refusedBy: 'invite.third_party.otherwise',
  },
  { rule: 'invite.third_party.otherwise', passes: thirdParty({}), refuses: thirdParty({ signer: strangerKey }) },
]
