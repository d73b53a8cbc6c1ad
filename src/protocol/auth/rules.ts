import { refused as refusedBy, type Verdict } from '../event.ts'
import { type RoomVersion, roomVersions } from '../room-versions.ts'

/**
 * The authorisation rules by names that do not change. Their numbers do change from one room version to the next:
 * `ruleNumbers` has them. https://spec.matrix.org/v1.19/rooms/
 */
export type RuleName =
  | 'create.prev_events'
  | 'create.room_id'
  | 'create.room_version'
  | 'create.creator'
  | 'create.additional_creators'
  | 'create.otherwise'
  | 'room_id'
  | 'auth_events.duplicate'
  | 'auth_events.selection'
  | 'auth_events.rejected'
  | 'auth_events.create'
  | 'auth_events.room'
  | 'federate'
  | 'aliases.state_key'
  | 'aliases.domain'
  | 'aliases.otherwise'
  | 'member.properties'
  | 'member.authorising_server'
  | 'join.creator'
  | 'join.sender'
  | 'join.banned'
  | 'join.invite'
  | 'join.restricted.member'
  | 'join.restricted.authorising_user'
  | 'join.restricted.otherwise'
  | 'join.public'
  | 'join.otherwise'
  | 'invite.third_party.banned'
  | 'invite.third_party.signed'
  | 'invite.third_party.properties'
  | 'invite.third_party.mxid'
  | 'invite.third_party.token'
  | 'invite.third_party.sender'
  | 'invite.third_party.signature'
  | 'invite.third_party.otherwise'
  | 'invite.sender'
  | 'invite.target'
  | 'invite.level'
  | 'invite.otherwise'
  | 'leave.self'
  | 'leave.sender'
  | 'leave.unban'
  | 'leave.kick'
  | 'leave.otherwise'
  | 'ban.sender'
  | 'ban.level'
  | 'ban.otherwise'
  | 'knock.join_rule'
  | 'knock.sender'
  | 'knock.membership'
  | 'knock.otherwise'
  | 'member.unknown'
  | 'sender'
  | 'third_party_invite'
  | 'required_level'
  | 'state_key'
  | 'power_levels.integers'
  | 'power_levels.maps'
  | 'power_levels.users'
  | 'power_levels.creators'
  | 'power_levels.first'
  | 'power_levels.properties.current'
  | 'power_levels.properties.new'
  | 'power_levels.entries.current'
  | 'power_levels.entries.new'
  | 'power_levels.users.current'
  | 'power_levels.users.new'
  | 'power_levels.otherwise'
  | 'redaction.level'
  | 'redaction.domain'
  | 'redaction.otherwise'
  | 'otherwise'

/** A rule, or a numbered list of rules within a rule. */
type RuleTree = RuleName | readonly RuleTree[]

/** Those of the rules that a version has. */
function only(condition: boolean, ...rules: RuleTree[]): readonly RuleTree[] {
  return condition ? rules : []
}

/** The list as the version's page prints it: a rule's place in its list is its number. */
function rulesOf(version: RoomVersion): readonly RuleTree[] {
  return [
    [
      'create.prev_events',
      'create.room_id',
      'create.room_version',
      ...only(!version.implicitRoomCreator, 'create.creator'),
      ...only(version.privilegedCreators, 'create.additional_creators'),
      'create.otherwise',
    ],
    ...only(version.roomIdIsCreateHash, 'room_id'),
    [
      'auth_events.duplicate',
      'auth_events.selection',
      'auth_events.rejected',
      ...only(!version.roomIdIsCreateHash, 'auth_events.create'),
      'auth_events.room',
    ],
    'federate',
    ...only(version.specialAliasesRules, ['aliases.state_key', 'aliases.domain', 'aliases.otherwise']),
    [
      'member.properties',
      ...only(version.restrictedJoins, ['member.authorising_server']),
      [
        'join.creator',
        'join.sender',
        'join.banned',
        'join.invite',
        ...only(version.restrictedJoins, [
          'join.restricted.member',
          'join.restricted.authorising_user',
          'join.restricted.otherwise',
        ]),
        'join.public',
        'join.otherwise',
      ],
      [
        [
          'invite.third_party.banned',
          'invite.third_party.signed',
          'invite.third_party.properties',
          'invite.third_party.mxid',
          'invite.third_party.token',
          'invite.third_party.sender',
          'invite.third_party.signature',
          'invite.third_party.otherwise',
        ],
        'invite.sender',
        'invite.target',
        'invite.level',
        'invite.otherwise',
      ],
      ['leave.self', 'leave.sender', 'leave.unban', 'leave.kick', 'leave.otherwise'],
      ['ban.sender', 'ban.level', 'ban.otherwise'],
      ...only(version.knocking, ['knock.join_rule', 'knock.sender', 'knock.membership', 'knock.otherwise']),
      'member.unknown',
    ],
    'sender',
    ['third_party_invite'],
    'required_level',
    'state_key',
    [
      ...only(version.integerPowerLevels, 'power_levels.integers', 'power_levels.maps'),
      'power_levels.users',
      ...only(version.privilegedCreators, 'power_levels.creators'),
      'power_levels.first',
      ['power_levels.properties.current', 'power_levels.properties.new'],
      ['power_levels.entries.current'],
      ['power_levels.entries.new'],
      ['power_levels.users.current'],
      ['power_levels.users.new'],
      'power_levels.otherwise',
    ],
    ...only(version.redactionAuthRule, ['redaction.level', 'redaction.domain', 'redaction.otherwise']),
    'otherwise',
  ]
}

function* number(rules: readonly RuleTree[], prefix: string): Generator<[RuleName, string]> {
  for (const [index, rule] of rules.entries()) {
    const place = `${prefix}${index + 1}`
    if (typeof rule === 'string') yield [rule, place]
    else yield* number(rule, `${place}.`)
  }
}

const numbersByVersion: ReadonlyMap<string, ReadonlyMap<RuleName, string>> = new Map(
  roomVersions.map(version => [version.id, new Map(number(rulesOf(version), ''))]),
)
const noRules: ReadonlyMap<RuleName, string> = new Map()

/** Every rule of a room version with its number on the version's page, such as `5.3.2`, in the order of the page. */
export function ruleNumbers(version: RoomVersion): ReadonlyMap<RuleName, string> {
  return numbersByVersion.get(version.id) ?? noRules
}

/** The refusal of a rule: `verdict.rule` reads `v12 5.3.2`. */
export function refuse(version: RoomVersion, rule: RuleName, reason: string): Verdict {
  return refusedBy(`v${version.id} ${ruleNumbers(version).get(rule) ?? rule}`, reason)
}
