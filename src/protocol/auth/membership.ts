import { type Event, type Verdict, allowed } from '../event.ts'
import { type UserId, parseUserId, serverNameOf } from '../identifiers.ts'
import { type JsonValue } from '../json.ts'
import { type PowerLevels, roomCreators } from '../power-levels.ts'
import { type RoomVersion } from '../room-versions.ts'
import { type AuthState, type AuthoriseOptions, joinRuleOf, membershipOf } from './auth-state.ts'
import { refuse } from './rules.ts'
import { authoriseThirdPartyInvite } from './third-party-invite.ts'

/** What every membership rule gets to see. */
interface Membership {
  readonly event: Event
  /** The user whose membership the event sets. */
  readonly target: UserId
  readonly create: Event
  readonly state: AuthState
  readonly power: PowerLevels
  readonly version: RoomVersion
}

/**
 * The rule "if type is `m.room.member`" (v1–v5 and v12: 5, v6–v11: 4). Within it `join` is 2 (v8 on: 3), `invite` 3
 * (4), `leave` 4 (5), `ban` 5 (6) and `knock` 6 (7). https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authoriseMembership(
  event: Event,
  create: Event,
  state: AuthState,
  power: PowerLevels,
  version: RoomVersion,
  options: AuthoriseOptions,
): Verdict {
  const membership = event.content['membership']
  // v1–v5, v12 5.1; v6–v11 4.1
  const target = parseUser(event.stateKey)
  if (target === null) return refuse(version, 'member.properties', 'its state key is not a user')
  if (membership === undefined) return refuse(version, 'member.properties', 'it has no membership')

  // v8–v11 4.2.1, v12 5.2.1: whatever the membership
  const authorisingUser = event.content['join_authorised_via_users_server']
  if (version.restrictedJoins && authorisingUser !== undefined) {
    const user = parseUser(authorisingUser)
    if (user === null || options.isSignedBy?.(serverNameOf(user)) !== true) {
      return refuse(version, 'member.authorising_server', 'the authorising server has not signed it')
    }
  }

  const rest = { event, target, create, state, power, version }
  if (membership === 'join') return authoriseJoin(rest)
  if (membership === 'invite') return authoriseInvite(rest)
  if (membership === 'leave') return authoriseLeave(rest)
  if (membership === 'ban') return authoriseBan(rest)
  if (membership === 'knock' && version.knocking) return authoriseKnock(rest)
  // v1–v5 5.6, v6 4.6, v7 4.7, v8–v11 4.8, v12 5.8
  return refuse(version, 'member.unknown', 'the membership is unknown')
}

/** v1–v5 5.2; v6, v7 4.2; v8–v11 4.3; v12 5.3 */
function authoriseJoin({ event, target, create, state, power, version }: Membership): Verdict {
  // .1: only the state key is looked at, as the rule is written
  const followsCreate = event.prevEvents.length === 1 && event.prevEvents[0] === create.eventId
  if (followsCreate && target === roomCreators(create, version)[0]) return allowed
  // .2
  if (event.sender !== target) return refuse(version, 'join.sender', 'nobody can join for another')
  const membership = membershipOf(target, state)
  // .3
  if (membership === 'ban') return refuse(version, 'join.banned', 'the user is banned')
  const isInvitedOrJoined = membership === 'invite' || membership === 'join'
  const joinRule = joinRuleOf(state)
  // .4: `knock` counts from version 7 on
  if (joinRule === 'invite' || (joinRule === 'knock' && version.knocking)) {
    if (isInvitedOrJoined) return allowed
  }
  // v8–v12 .5: `knock_restricted` counts from version 10 on
  const isRestricted =
    (joinRule === 'restricted' && version.restrictedJoins) ||
    (joinRule === 'knock_restricted' && version.knockRestrictedJoins)
  if (isRestricted) {
    // .5.1
    if (isInvitedOrJoined) return allowed
    // .5.2
    const authorisingUser = parseUser(event.content['join_authorised_via_users_server'])
    const mayInvite =
      authorisingUser !== null &&
      membershipOf(authorisingUser, state) === 'join' &&
      power.userLevel(authorisingUser) >= power.invite
    if (!mayInvite) {
      return refuse(version, 'join.restricted.authorising_user', 'no member who may invite has authorised it')
    }
    // .5.3
    return allowed
  }
  // v1–v7 .5, v8–v12 .6
  if (joinRule === 'public') return allowed
  // v1–v7 .6, v8–v12 .7
  return refuse(version, 'join.otherwise', 'the join rule does not let the user in')
}

/** v1–v5 5.3; v6, v7 4.3; v8–v11 4.4; v12 5.4 */
function authoriseInvite({ event, target, state, power, version }: Membership): Verdict {
  // .1
  if (event.content['third_party_invite'] !== undefined) {
    return authoriseThirdPartyInvite(event, target, state, version)
  }
  // .2
  if (membershipOf(event.sender, state) !== 'join') {
    return refuse(version, 'invite.sender', 'the sender is not in the room')
  }
  // .3
  const membership = membershipOf(target, state)
  if (membership === 'join' || membership === 'ban') {
    return refuse(version, 'invite.target', 'the user is in the room or banned')
  }
  // .4
  if (power.userLevel(event.sender) >= power.invite) return allowed
  // .5
  return refuse(version, 'invite.otherwise', 'the sender may not invite')
}

/** v1–v5 5.4; v6, v7 4.4; v8–v11 4.5; v12 5.5 */
function authoriseLeave({ event, target, state, power, version }: Membership): Verdict {
  const senderMembership = membershipOf(event.sender, state)
  // .1: `knock` counts from version 7 on
  if (event.sender === target) {
    const isIn = senderMembership === 'invite' || senderMembership === 'join'
    if (isIn || (senderMembership === 'knock' && version.knocking)) return allowed
    return refuse(version, 'leave.self', 'there is nothing to leave')
  }
  // .2
  if (senderMembership !== 'join') return refuse(version, 'leave.sender', 'the sender is not in the room')
  // .3
  const senderLevel = power.userLevel(event.sender)
  if (membershipOf(target, state) === 'ban' && senderLevel < power.ban) {
    return refuse(version, 'leave.unban', 'the sender may not unban')
  }
  // .4
  if (senderLevel >= power.kick && power.userLevel(target) < senderLevel) return allowed
  // .5
  return refuse(version, 'leave.otherwise', 'the sender may not kick that user')
}

/** v1–v5 5.5; v6, v7 4.5; v8–v11 4.6; v12 5.6 */
function authoriseBan({ event, target, state, power, version }: Membership): Verdict {
  // .1
  if (membershipOf(event.sender, state) !== 'join') {
    return refuse(version, 'ban.sender', 'the sender is not in the room')
  }
  // .2
  const senderLevel = power.userLevel(event.sender)
  if (senderLevel >= power.ban && power.userLevel(target) < senderLevel) return allowed
  // .3
  return refuse(version, 'ban.otherwise', 'the sender may not ban that user')
}

/** v7 4.6; v8–v11 4.7; v12 5.7 */
function authoriseKnock({ event, target, state, version }: Membership): Verdict {
  const joinRule = joinRuleOf(state)
  // .1: `knock_restricted` counts from version 10 on
  if (joinRule !== 'knock' && !(joinRule === 'knock_restricted' && version.knockRestrictedJoins)) {
    return refuse(version, 'knock.join_rule', 'the room does not take knocks')
  }
  // .2
  if (event.sender !== target) return refuse(version, 'knock.sender', 'nobody can knock for another')
  // .3
  const membership = membershipOf(event.sender, state)
  if (membership !== 'ban' && membership !== 'invite' && membership !== 'join') return allowed
  // .4
  return refuse(version, 'knock.otherwise', 'the user is in the room, invited or banned')
}

function parseUser(value: JsonValue | undefined): UserId | null {
  return typeof value === 'string' ? parseUserId(value) : null
}
