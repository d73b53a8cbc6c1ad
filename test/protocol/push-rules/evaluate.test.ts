import { describe, expect, it } from '@jest/globals'
import { type EventId, type RoomId, type UserId } from '../../../src/protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../../../src/protocol/json.ts'
import { defaultPushRules } from '../../../src/protocol/push-rules/defaults.ts'
import {
  compileRuleset,
  evaluatePushRules,
  preparePushEvent,
  tweaksOf,
  type PushContext,
  type PushEvent,
  type PushOutcome,
} from '../../../src/protocol/push-rules/evaluate.ts'
import { parseStoredPushRules, rulesetOf, type Ruleset } from '../../../src/protocol/push-rules/ruleset.ts'

/** The identifiers are well formed, as the edge would have made sure. */
const alice = '@alice:example.org' as UserId
const bob = '@bob:example.org' as UserId

const message: PushEvent = {
  eventId: '$event' as EventId,
  roomId: '!room:example.org' as RoomId,
  type: 'm.room.message',
  sender: bob,
  stateKey: null,
  content: { msgtype: 'm.text', body: 'An example event.' },
}

const context: PushContext = {
  userId: alice,
  displayName: 'Alice [home]',
  memberCount: 5,
  senderPowerLevel: 0,
  notificationLevels: new Map(),
}

const evaluate = (ruleset: Ruleset, event: PushEvent, inContext: Partial<PushContext> = {}): PushOutcome =>
  evaluatePushRules(compileRuleset(ruleset), preparePushEvent(event), { ...context, ...inContext })

const byDefault = (event: Partial<PushEvent>, inContext: Partial<PushContext> = {}): PushOutcome =>
  evaluate(defaultPushRules(alice), { ...message, ...event }, inContext)

/** Whether one condition, as that of the only rule there is, holds. */
function holds(condition: JsonObject, event: Partial<PushEvent> = {}, inContext: Partial<PushContext> = {}): boolean {
  const none: Ruleset = { override: [], content: [], room: [], sender: [], underride: [] }
  const rule = { rule_id: 'r', default: false, enabled: true, conditions: [condition], actions: ['notify'] }
  return evaluate({ ...none, override: [rule] }, { ...message, ...event }, inContext).notify
}

describe('the default push rules', () => {
  it.each<[string, Partial<PushEvent>, Partial<PushContext>, Partial<PushOutcome>]>([
    ['a message', {}, {}, { ruleId: '.m.rule.message', notify: true, highlight: false, sound: null }],
    [
      'a message between two',
      {},
      { memberCount: 2 },
      { ruleId: '.m.rule.room_one_to_one', notify: true, sound: 'default' },
    ],
    [
      'an encrypted event',
      { type: 'm.room.encrypted' },
      {},
      { ruleId: '.m.rule.encrypted', notify: true, sound: null },
    ],
    [
      'an encrypted event between two',
      { type: 'm.room.encrypted' },
      { memberCount: 2 },
      { ruleId: '.m.rule.encrypted_room_one_to_one', notify: true, sound: 'default' },
    ],
    [
      'a notice',
      { content: { msgtype: 'm.notice', body: 'x' } },
      {},
      { ruleId: '.m.rule.suppress_notices', notify: false },
    ],
    [
      'an invite of the user',
      { type: 'm.room.member', stateKey: alice, content: { membership: 'invite' } },
      {},
      { ruleId: '.m.rule.invite_for_me', notify: true, highlight: false, sound: 'default' },
    ],
    [
      'an invite of another',
      { type: 'm.room.member', stateKey: '@carol:example.org', content: { membership: 'invite' } },
      {},
      { ruleId: '.m.rule.member_event', notify: false },
    ],
    [
      'a mention of the user',
      { content: { body: 'x', 'm.mentions': { user_ids: [bob, alice] } } },
      {},
      { ruleId: '.m.rule.is_user_mention', notify: true, highlight: true, sound: 'default' },
    ],
    [
      'a mention of another',
      { content: { body: 'x', 'm.mentions': { user_ids: [bob] } } },
      {},
      { ruleId: '.m.rule.message', highlight: false },
    ],
    [
      'a mention of the room by one who may',
      { content: { body: 'x', 'm.mentions': { room: true } } },
      { senderPowerLevel: 50 },
      { ruleId: '.m.rule.is_room_mention', notify: true, highlight: true, sound: null },
    ],
    [
      'a mention of the room by one who may not',
      { content: { body: 'x', 'm.mentions': { room: true } } },
      { senderPowerLevel: 49 },
      { ruleId: '.m.rule.message', highlight: false },
    ],
    [
      'the user’s name in the text',
      { content: { body: 'hi alice [home]!' } },
      {},
      { ruleId: '.m.rule.message', highlight: false },
    ],
    [
      'a tombstone',
      { type: 'm.room.tombstone', stateKey: '' },
      {},
      { ruleId: '.m.rule.tombstone', notify: true, highlight: true },
    ],
    ['a tombstone that is not state', { type: 'm.room.tombstone' }, {}, { ruleId: null, notify: false }],
    ['a reaction', { type: 'm.reaction' }, {}, { ruleId: '.m.rule.reaction', notify: false }],
    [
      'a server ACL',
      { type: 'm.room.server_acl', stateKey: '' },
      {},
      { ruleId: '.m.rule.room.server_acl', notify: false },
    ],
    [
      'an edit',
      { content: { body: '* x', 'm.relates_to': { rel_type: 'm.replace', event_id: '$x' } } },
      {},
      { ruleId: '.m.rule.suppress_edits', notify: false },
    ],
    ['a call', { type: 'm.call.invite' }, {}, { ruleId: '.m.rule.call', notify: true, sound: 'ring' }],
    ['an event nobody knows', { type: 'org.example' }, {}, { ruleId: null, notify: false, actions: [] }],
    ['a message of the user’s own', { sender: alice }, {}, { ruleId: null, notify: false }],
  ])('on %s', (_what, event, inContext, expected) => {
    expect(byDefault(event, inContext)).toMatchObject(expected)
  })
})

describe('push rules', () => {
  const withRules = (stored: JsonValue): Ruleset => rulesetOf(parseStoredPushRules(stored), alice)

  it('are all overruled by the master rule', () => {
    const ruleset = withRules({
      rules: { override: [{ rule_id: 'all', actions: ['notify'], conditions: [] }] },
      changes: { '.m.rule.master': { enabled: true } },
    })
    expect(evaluate(ruleset, message)).toMatchObject({ ruleId: '.m.rule.master', notify: false })
  })

  it('are checked by kind, then in their order, and the first that matches decides', () => {
    const rules = {
      override: [
        { rule_id: 'override', actions: [], conditions: [{ kind: 'event_match', key: 'type', pattern: '*' }] },
      ],
      content: [
        { rule_id: 'content 1', actions: [], pattern: 'exa*' },
        { rule_id: 'content 2', actions: [], pattern: 'event' },
      ],
      room: [{ rule_id: '!room:example.org', actions: [] }],
      sender: [{ rule_id: bob, actions: [] }],
    }
    const order = ['override', 'content 1', 'content 2', '!room:example.org', bob, '.m.rule.message']
    const kinds = ['override', 'content', 'content', 'room', 'sender'] as const
    const left: Record<(typeof kinds)[number], JsonValue[]> = structuredClone(rules)
    for (const [index, expected] of order.entries()) {
      expect(evaluate(withRules({ rules: left }), message).ruleId).toBe(expected)
      const kind = kinds[index]
      if (kind) left[kind].shift()
    }
  })

  it('for other rooms and senders do not match', () => {
    const rules = { room: [{ rule_id: '!other:example.org', actions: [] }], sender: [{ rule_id: alice, actions: [] }] }
    expect(evaluate(withRules({ rules }), message).ruleId).toBe('.m.rule.message')
  })

  it('that are disabled never match', () => {
    const ruleset = withRules({ changes: { '.m.rule.message': { enabled: false } } })
    expect(evaluate(ruleset, message)).toMatchObject({ ruleId: null, notify: false })
  })

  it('with an unknown condition never match, even if the others hold', () => {
    const conditions = [{ kind: 'event_match', key: 'type', pattern: '*' }, { kind: 'org.example' }]
    const ruleset = withRules({ rules: { override: [{ rule_id: 'x', actions: [], conditions }] } })
    expect(evaluate(ruleset, message).ruleId).toBe('.m.rule.message')
  })

  it('highlight and sound only if they notify', () => {
    const actions = [{ set_tweak: 'highlight' }, { set_tweak: 'sound', value: 'default' }]
    const quiet = withRules({ changes: { '.m.rule.message': { actions } } })
    expect(evaluate(quiet, message)).toMatchObject({ notify: false, highlight: false, sound: null, actions })
    const loud = withRules({ changes: { '.m.rule.message': { actions: ['notify', ...actions] } } })
    expect(evaluate(loud, message)).toMatchObject({ notify: true, highlight: true, sound: 'default' })
  })

  it('hand their tweaks on', () => {
    expect(tweaksOf(['notify', { set_tweak: 'highlight' }, { set_tweak: 'sound', value: 'ring' }])).toEqual({
      highlight: true,
      sound: 'ring',
    })
    expect(tweaksOf([{ set_tweak: 'highlight', value: false }, { set_tweak: 'org.example' }, { other: 1 }])).toEqual({
      highlight: false,
    })
    const special = tweaksOf([{ set_tweak: '__proto__', value: { polluted: true } }])
    expect(JSON.stringify(special)).toBe('{"__proto__":{"polluted":true}}')
  })
})

describe('event_match', () => {
  const match = (key: string, pattern: string, event: Partial<PushEvent>): boolean =>
    holds({ kind: 'event_match', key, pattern }, event)

  it.each([
    ['Lunch plans', true],
    ['LUNCH', true],
    [' lunch', false],
    ['lunc', false],
    [null, false],
    [7, false],
    [['lunch'], false],
  ])('of lunc?* on the topic %j is %j', (topic, expected) => {
    expect(match('content.topic', 'lunc?*', { content: { topic } })).toBe(expected)
  })

  it.each([
    ['An example event.', true],
    ['exple', true],
    ['An exciting triple-whammy', true],
    ['examples', false],
  ])('of ex*ple on the body %j is %j', (body, expected) => {
    expect(match('content.body', 'ex*ple', { content: { body } })).toBe(expected)
  })

  it('looks for words only in content.body', () => {
    expect(match('content.body', 'example', {})).toBe(true)
    expect(match('content.other', 'example', { content: { other: 'An example event.' } })).toBe(false)
    expect(match('content.body', 'an', { content: { 'content.body': 'an' } })).toBe(false)
  })

  it('sees the keys of the event itself', () => {
    expect(match('room_id', '!room:*', {})).toBe(true)
    expect(match('sender', '@bob:example.org', {})).toBe(true)
    expect(match('event_id', '$event', {})).toBe(true)
    expect(match('state_key', '', { stateKey: '' })).toBe(true)
    expect(match('state_key', '*', {})).toBe(false)
    expect(match('origin_server_ts', '*', {})).toBe(false)
  })

  it('does not match an absent property, even with a star', () => {
    expect(match('content.none', '*', {})).toBe(false)
    expect(match('content.constructor.name', '*', {})).toBe(false)
  })

  it('tells an escaped dot from one between names', () => {
    const content = { 'm.relates_to': { rel_type: 'm.thread' } }
    expect(match('content.m\\.relates_to.rel_type', 'm.thread', { content })).toBe(true)
    expect(match('content.m.relates_to.rel_type', 'm.thread', { content })).toBe(false)
  })
})

describe('the other conditions', () => {
  it.each<[JsonValue, JsonValue, boolean]>([
    [true, true, true],
    [true, 'true', false],
    [true, 1, false],
    [1, 1, true],
    [null, null, true],
    ['a', 'a', true],
    ['a', 'A', false],
    [1.5, 1.5, false],
    [[], [], false],
    [{}, {}, false],
  ])('event_property_is %j on %j is %j', (value, property, expected) => {
    const condition = { kind: 'event_property_is', key: 'content.m\\.federate', value }
    expect(holds(condition, { content: { 'm.federate': property } })).toBe(expected)
    expect(holds(condition, { content: {} })).toBe(false)
  })

  it.each<[JsonValue, JsonValue, boolean]>([
    ['#a:b', ['#x:y', '#a:b'], true],
    [':b', ['#a:b'], false],
    ['#a:b', '#a:b', false],
    [1, [1], true],
    [1, ['1'], false],
    [null, [null], true],
    ['x', [['x']], false],
    [{}, [{}], false],
  ])('event_property_contains %j on %j is %j', (value, property, expected) => {
    const condition = { kind: 'event_property_contains', key: 'content.list', value }
    expect(holds(condition, { content: { list: property } })).toBe(expected)
  })

  it.each([
    ['hello alice [HOME]', true],
    ['malice [home]', false],
    ['alice h', false],
  ])('contains_display_name on %j is %j', (body, expected) => {
    expect(holds({ kind: 'contains_display_name' }, { content: { body } })).toBe(expected)
  })

  it('contains_display_name follows the name of each user and needs one', () => {
    const condition = { kind: 'contains_display_name' }
    expect(holds(condition, { content: { body: 'hi carol' } }, { displayName: 'Carol' })).toBe(true)
    expect(holds(condition, { content: { body: '' } }, { displayName: '' })).toBe(false)
    expect(holds(condition, { content: { body: 'null' } }, { displayName: null })).toBe(false)
    expect(holds(condition, { content: { body: 7 } })).toBe(false)
  })

  it.each<[JsonValue, boolean]>([
    ['5', true],
    ['==5', true],
    ['4', false],
    ['<6', true],
    ['<5', false],
    ['<=5', true],
    ['>4', true],
    ['>5', false],
    ['>=5', true],
    ['>=6', false],
    ['', false],
    ['=5', false],
    ['!=4', false],
    ['5 ', false],
    ['5.0', false],
    ['-5', false],
    ['> 4', false],
    ['9'.repeat(40), false],
    [5, false],
  ])('room_member_count %j in a room of five is %j', (is, expected) => {
    expect(holds({ kind: 'room_member_count', is })).toBe(expected)
  })

  it('sender_notification_permission compares with the level of its key, which is 50 if none is set', () => {
    const condition = { kind: 'sender_notification_permission', key: 'room' }
    const levels = new Map([['room', 20]])
    expect(holds(condition, {}, { senderPowerLevel: 49 })).toBe(false)
    expect(holds(condition, {}, { senderPowerLevel: 50 })).toBe(true)
    expect(holds(condition, {}, { senderPowerLevel: 20, notificationLevels: levels })).toBe(true)
    expect(holds(condition, {}, { senderPowerLevel: 19, notificationLevels: levels })).toBe(false)
    expect(holds(condition, {}, { senderPowerLevel: Infinity })).toBe(true)
    expect(holds({ kind: condition.kind }, {}, { senderPowerLevel: 100 })).toBe(false)
  })

  it.each<JsonObject>([
    { kind: 'event_match', key: 'type' },
    { kind: 'event_match', pattern: '*' },
    { kind: 'event_match', key: 1, pattern: '*' },
    { kind: 'event_property_is', key: 'content.none' },
    { kind: 'event_property_contains', key: 'content.none' },
    { kind: 'room_member_count' },
    { kind: 'device' },
    { kind: 'toString' },
  ])('never hold if they are malformed or unknown: %j', condition => {
    expect(holds(condition)).toBe(false)
  })
})

describe('a thousand hostile push rules', () => {
  it('take less than 50 ms on an ordinary message', () => {
    const content = Array.from({ length: 1_000 }, (_, n) => ({
      rule_id: `r${n}`,
      actions: [],
      pattern: `${'*a?'.repeat(100)}${n}b`,
    }))
    const ruleset = compileRuleset(rulesetOf(parseStoredPushRules({ rules: { content } }), alice))
    const event = preparePushEvent({ ...message, content: { msgtype: 'm.text', body: 'a'.repeat(200) } })
    evaluatePushRules(ruleset, event, context)
    const times = [1, 2, 3].map(() => {
      const start = performance.now()
      evaluatePushRules(ruleset, event, context)
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(50)
  })
})
