import { type UserId } from '../identifiers.ts'
import { type JsonObject } from '../json.ts'
import { type PushAction, type PushRule, type Ruleset } from './ruleset.ts'

/** The rule that turns all notifications off, and stands before every other rule, the user's own included. */
export const masterRuleId = '.m.rule.master'

const sound = (value: string): PushAction => ({ set_tweak: 'sound', value })
const highlight: PushAction = { set_tweak: 'highlight' }
const typeIs = (pattern: string): JsonObject => ({ kind: 'event_match', key: 'type', pattern })
const stateKeyIs = (pattern: string): JsonObject => ({ kind: 'event_match', key: 'state_key', pattern })
const inRoomOfTwo: JsonObject = { kind: 'room_member_count', is: '2' }

function rule(ruleId: string, conditions: JsonObject[], actions: PushAction[], enabled = true): PushRule {
  return { rule_id: ruleId, default: true, enabled, conditions, actions }
}

/**
 * The server's own rules, in the order and with the contents of
 * https://spec.matrix.org/v1.19/client-server-api/#predefined-rules. The rules that looked for mentions in the text
 * of a message (`.m.rule.contains_display_name`, `.m.rule.contains_user_name`, `.m.rule.roomnotif`) left the spec in v1.17.
 * @param userId the user whose rules they are: two of them look for it.
 */
export function defaultPushRules(userId: UserId): Ruleset {
  return {
    override: [
      rule(masterRuleId, [], [], false),
      rule('.m.rule.suppress_notices', [{ kind: 'event_match', key: 'content.msgtype', pattern: 'm.notice' }], []),
      rule(
        '.m.rule.invite_for_me',
        [
          typeIs('m.room.member'),
          { kind: 'event_match', key: 'content.membership', pattern: 'invite' },
          stateKeyIs(userId),
        ],
        ['notify', sound('default')],
      ),
      rule('.m.rule.member_event', [typeIs('m.room.member')], []),
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', sound('default'), highlight],
      ),
      rule(
        '.m.rule.is_room_mention',
        [
          { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
          { kind: 'sender_notification_permission', key: 'room' },
        ],
        ['notify', highlight],
      ),
      rule('.m.rule.tombstone', [typeIs('m.room.tombstone'), stateKeyIs('')], ['notify', highlight]),
      rule('.m.rule.reaction', [typeIs('m.reaction')], []),
      rule('.m.rule.room.server_acl', [typeIs('m.room.server_acl'), stateKeyIs('')], []),
      rule(
        '.m.rule.suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
    ],
    content: [],
    room: [],
    sender: [],
    underride: [
      rule('.m.rule.call', [typeIs('m.call.invite')], ['notify', sound('ring')]),
      rule(
        '.m.rule.encrypted_room_one_to_one',
        [inRoomOfTwo, typeIs('m.room.encrypted')],
        ['notify', sound('default')],
      ),
      rule('.m.rule.room_one_to_one', [inRoomOfTwo, typeIs('m.room.message')], ['notify', sound('default')]),
      rule('.m.rule.message', [typeIs('m.room.message')], ['notify']),
      rule('.m.rule.encrypted', [typeIs('m.room.encrypted')], ['notify']),
    ],
  }
}
