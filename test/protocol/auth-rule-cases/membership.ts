import { type AuthoriseOptions } from '../../../src/protocol/auth/auth-state.ts'
import { type UserId, serverNameOf } from '../../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../../src/protocol/json.ts'
import { type Draft, type RoomFixture, alice, bob, carol, dave, erin, frank } from '../room-fixture.ts'
import { type Attempt, type RuleCase, attempt, member } from './case.ts'

const server = (...users: UserId[]): AuthoriseOptions => {
  const servers = new Set(users.map(user => serverNameOf(user)))
  return { isSignedBy: name => servers.has(name) }
}

function withJoinRule(rule: string, draft: Draft, options?: AuthoriseOptions): (room: RoomFixture) => Attempt {
  return room => {
    room.joinRule(rule)
    return attempt(draft, options)(room)
  }
}
function withLevels(levels: JsonObject, draft: Draft): (room: RoomFixture) => Attempt {
  return room => {
    room.levels({ ...levels, users: room.users({ [bob]: 50 }) })
    return attempt(draft)(room)
  }
}
const authorisedBy = (user: UserId): JsonObject => ({ join_authorised_via_users_server: user })

/** What concerns all memberships, and joins. */
export const joinCases: RuleCase[] = [
  {
    rule: 'join.creator',
    passes: room => {
      room.state.delete('m.room.member', alice)
      room.joinRule('invite')
      return { event: room.event({ ...member(alice, 'join', alice), prevEvents: [room.create.eventId] }) }
    },
    refuses: room => {
      room.joinRule('invite')
      return { event: room.event({ ...member(frank, 'join', frank), prevEvents: [room.create.eventId] }) }
    },
    refusedBy: 'join.otherwise',
  },
  {
    rule: 'join.sender',
    passes: attempt(member(frank, 'join', frank)),
    refuses: attempt(member(frank, 'join', alice)),
  },
  { rule: 'join.banned', passes: attempt(member(frank, 'join', frank)), refuses: attempt(member(erin, 'join', erin)) },
  {
    rule: 'join.invite',
    passes: withJoinRule('invite', member(dave, 'join', dave)),
    refuses: withJoinRule('invite', member(frank, 'join', frank)),
    refusedBy: 'join.otherwise',
  },
  {
    rule: 'join.restricted.member',
    passes: withJoinRule('restricted', member(dave, 'join', dave)),
    refuses: withJoinRule('restricted', member(frank, 'join', frank)),
    refusedBy: 'join.restricted.authorising_user',
  },
  {
    rule: 'join.restricted.authorising_user',
    passes: withJoinRule('restricted', member(frank, 'join', frank, authorisedBy(bob)), server(bob)),
    refuses: withJoinRule('restricted', member(frank, 'join', frank, authorisedBy(dave)), server(dave)),
  },
  {
    rule: 'join.restricted.otherwise',
    passes: withJoinRule('restricted', member(frank, 'join', frank, authorisedBy(carol)), server(carol)),
    refuses: room => {
      room.levels({ users: room.users({}), invite: 50 })
      return withJoinRule('restricted', member(frank, 'join', frank, authorisedBy(carol)), server(carol))(room)
    },
    refusedBy: 'join.restricted.authorising_user',
  },
  {
    rule: 'join.public',
    passes: attempt(member(frank, 'join', frank)),
    refuses: withJoinRule('private', member(frank, 'join', frank)),
    refusedBy: 'join.otherwise',
  },
  {
    rule: 'join.otherwise',
    passes: attempt(member(frank, 'join', frank)),
    refuses: withJoinRule('org.example.rule', member(dave, 'join', dave)),
  },
  {
    rule: 'member.properties',
    passes: attempt(member(frank, 'join', frank)),
    refuses: attempt({ type: 'm.room.member', sender: frank, stateKey: frank, content: {} }),
  },
  {
    rule: 'member.authorising_server',
    passes: attempt(member(frank, 'join', frank, authorisedBy(bob)), server(bob)),
    refuses: attempt(member(frank, 'join', frank, authorisedBy(bob)), server(frank)),
  },
  {
    rule: 'member.unknown',
    passes: attempt(member(frank, 'join', frank)),
    refuses: attempt(member(frank, 'visit', frank)),
  },
]

/** Leaving, kicking, banning and knocking, and plain invites. */
export const moderationCases: RuleCase[] = [
  {
    rule: 'invite.sender',
    passes: attempt(member(frank, 'invite', carol)),
    refuses: attempt(member(frank, 'invite', dave)),
  },
  {
    rule: 'invite.target',
    passes: attempt(member(frank, 'invite', carol)),
    refuses: attempt(member(erin, 'invite', alice)),
  },
  {
    rule: 'invite.level',
    passes: withLevels({ invite: 50 }, member(frank, 'invite', bob)),
    refuses: withLevels({ invite: 51 }, member(frank, 'invite', bob)),
    refusedBy: 'invite.otherwise',
  },
  {
    rule: 'invite.otherwise',
    passes: withLevels({ invite: 50 }, member(frank, 'invite', bob)),
    refuses: withLevels({ invite: 50 }, member(frank, 'invite', carol)),
  },
  {
    rule: 'leave.self',
    passes: attempt(member(dave, 'leave', dave)),
    refuses: attempt(member(erin, 'leave', erin)),
  },
  {
    rule: 'leave.sender',
    passes: attempt(member(carol, 'leave', bob)),
    refuses: attempt(member(carol, 'leave', dave)),
  },
  {
    rule: 'leave.unban',
    passes: withLevels({ ban: 50, kick: 0 }, member(erin, 'leave', bob)),
    refuses: withLevels({ ban: 51, kick: 0 }, member(erin, 'leave', bob)),
  },
  {
    rule: 'leave.kick',
    passes: withLevels({ kick: 50 }, member(carol, 'leave', bob)),
    refuses: withLevels({ kick: 51 }, member(carol, 'leave', bob)),
    refusedBy: 'leave.otherwise',
  },
  {
    rule: 'leave.otherwise',
    passes: attempt(member(carol, 'leave', bob)),
    refuses: attempt(member(alice, 'leave', bob)),
  },
  { rule: 'ban.sender', passes: attempt(member(frank, 'ban', bob)), refuses: attempt(member(frank, 'ban', dave)) },
  {
    rule: 'ban.level',
    passes: withLevels({ ban: 50 }, member(carol, 'ban', bob)),
    refuses: withLevels({ ban: 51 }, member(carol, 'ban', bob)),
    refusedBy: 'ban.otherwise',
  },
  { rule: 'ban.otherwise', passes: attempt(member(carol, 'ban', bob)), refuses: attempt(member(bob, 'ban', bob)) },
  {
    rule: 'knock.join_rule',
    passes: withJoinRule('knock', member(frank, 'knock', frank)),
    refuses: withJoinRule('public', member(frank, 'knock', frank)),
  },
  {
    rule: 'knock.sender',
    passes: withJoinRule('knock', member(frank, 'knock', frank)),
    refuses: withJoinRule('knock', member(frank, 'knock', alice)),
  },
  {
    rule: 'knock.membership',
    passes: withJoinRule('knock', member(frank, 'knock', frank)),
    refuses: withJoinRule('knock', member(dave, 'knock', dave)),
    refusedBy: 'knock.otherwise',
  },
  {
    rule: 'knock.otherwise',
    passes: withJoinRule('knock', member(frank, 'knock', frank)),
    refuses: withJoinRule('knock', member(erin, 'knock', erin)),
  },
]
