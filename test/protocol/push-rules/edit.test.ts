import { describe, expect, it } from '@jest/globals'
import { type UserId } from '../../../src/protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../../../src/protocol/json.ts'
import { defaultPushRules } from '../../../src/protocol/push-rules/defaults.ts'
import {
  deletePushRule,
  ownRulesLimit,
  putPushRule,
  setPushRuleActions,
  setPushRuleEnabled,
  type PushRuleEdit,
} from '../../../src/protocol/push-rules/edit.ts'
import {
  parseActions,
  parseStoredPushRules,
  pushRule,
  pushRuleKind,
  pushRuleKinds,
  rulesetOf,
  untouchedPushRules,
  type PushRuleKind,
  type StoredPushRules,
} from '../../../src/protocol/push-rules/ruleset.ts'

/** A well-formed user ID, as the edge would have made sure. */
const alice = '@alice:example.org' as UserId

function done(edit: PushRuleEdit): StoredPushRules {
  if (!edit.ok) throw new Error(`${edit.problem}: ${edit.reason}`)
  return edit.rules
}

const problem = (edit: PushRuleEdit): string | null => (edit.ok ? null : edit.problem)

const put = (
  rules: StoredPushRules,
  kind: PushRuleKind,
  ruleId: string,
  body: JsonObject = { actions: ['notify'], pattern: 'x' },
  anchor: { before?: string; after?: string } = {},
): PushRuleEdit =>
  putPushRule(rules, { kind, ruleId }, { before: anchor.before ?? null, after: anchor.after ?? null }, body)

const own = (rules: StoredPushRules, kind: PushRuleKind): string[] => rules.rules[kind].map(rule => rule.rule_id)

const three = ['c', 'b', 'a'].reduce((rules, ruleId) => done(put(rules, 'content', ruleId)), untouchedPushRules)

describe('the default push rules', () => {
  it('are those of the spec, in its order', () => {
    const rules = defaultPushRules(alice)
    expect(rules.override.map(rule => rule.rule_id)).toEqual([
      '.m.rule.master',
      '.m.rule.suppress_notices',
      '.m.rule.invite_for_me',
      '.m.rule.member_event',
      '.m.rule.is_user_mention',
      '.m.rule.is_room_mention',
      '.m.rule.tombstone',
      '.m.rule.reaction',
      '.m.rule.room.server_acl',
      '.m.rule.suppress_edits',
    ])
    expect(rules.underride.map(rule => rule.rule_id)).toEqual([
      '.m.rule.call',
      '.m.rule.encrypted_room_one_to_one',
      '.m.rule.room_one_to_one',
      '.m.rule.message',
      '.m.rule.encrypted',
    ])
    expect([...rules.content, ...rules.room, ...rules.sender]).toEqual([])
  })

  it('are all marked as such, and enabled except for the master rule', () => {
    const rules = pushRuleKinds.flatMap(kind => defaultPushRules(alice)[kind])
    expect(rules.every(rule => rule.default && rule.rule_id.startsWith('.'))).toBe(true)
    expect(rules.filter(rule => !rule.enabled).map(rule => rule.rule_id)).toEqual(['.m.rule.master'])
  })

  it('look for the user whose rules they are', () => {
    expect(JSON.stringify(pushRule(defaultPushRules(alice), 'override', '.m.rule.is_user_mention'))).toContain(alice)
    expect(JSON.stringify(pushRule(defaultPushRules(alice), 'override', '.m.rule.invite_for_me'))).toContain(alice)
  })
})

describe('the rules in force', () => {
  it('are the default ones for a user who changed nothing', () => {
    expect(rulesetOf(untouchedPushRules, alice)).toEqual(defaultPushRules(alice))
  })

  it('have the user’s own before the default ones, except for the master rule', () => {
    const rules = done(put(done(put(untouchedPushRules, 'override', 'mine')), 'underride', 'low'))
    const { override, underride } = rulesetOf(rules, alice)
    expect(override.slice(0, 3).map(rule => rule.rule_id)).toEqual([
      '.m.rule.master',
      'mine',
      '.m.rule.suppress_notices',
    ])
    expect(underride[0]?.rule_id).toBe('low')
  })
})

describe('putting a push rule', () => {
  it('makes a new one enabled and the most important of its kind', () => {
    expect(own(three, 'content')).toEqual(['a', 'b', 'c'])
    expect(pushRule(rulesetOf(three, alice), 'content', 'a')).toEqual({
      rule_id: 'a',
      default: false,
      enabled: true,
      actions: ['notify'],
      pattern: 'x',
    })
  })

  it.each([
    [{ before: 'a' }, ['new', 'a', 'b', 'c']],
    [{ before: 'c' }, ['a', 'b', 'new', 'c']],
    [{ after: 'a' }, ['a', 'new', 'b', 'c']],
    [{ after: 'c' }, ['a', 'b', 'c', 'new']],
    [{ before: 'b', after: 'c' }, ['a', 'new', 'b', 'c']],
  ])('puts it where %j says', (anchor, expected) => {
    expect(own(done(put(three, 'content', 'new', undefined, anchor)), 'content')).toEqual(expected)
  })

  it('moves one that exists only if told to', () => {
    expect(own(done(put(three, 'content', 'b')), 'content')).toEqual(['a', 'b', 'c'])
    expect(own(done(put(three, 'content', 'a', undefined, { after: 'c' })), 'content')).toEqual(['b', 'c', 'a'])
    expect(own(done(put(three, 'content', 'c', undefined, { before: 'a' })), 'content')).toEqual(['c', 'a', 'b'])
  })

  it('gives new contents to one that exists and leaves it disabled', () => {
    const disabled = done(setPushRuleEnabled(three, alice, { kind: 'content', ruleId: 'b' }, false))
    const changed = done(put(disabled, 'content', 'b', { actions: [], pattern: 'y' }))
    expect(pushRule(rulesetOf(changed, alice), 'content', 'b')).toMatchObject({
      enabled: false,
      actions: [],
      pattern: 'y',
    })
  })

  it('keeps rules of different kinds apart that have the same ID', () => {
    const rules = done(put(three, 'override', 'a'))
    expect(own(rules, 'override')).toEqual(['a'])
    expect(own(done(deletePushRule(rules, { kind: 'override', ruleId: 'a' })), 'content')).toEqual(['a', 'b', 'c'])
  })

  it('changes nothing in the rules it was given', () => {
    const before = JSON.stringify(three)
    put(three, 'content', 'new', undefined, { before: 'a' })
    deletePushRule(three, { kind: 'content', ruleId: 'a' })
    setPushRuleActions(three, alice, { kind: 'content', ruleId: 'a' }, [])
    expect(JSON.stringify(three)).toBe(before)
  })

  it.each(['missing', '.m.rule.message', 'new'])('beside %s, which is none of the user’s own, is refused', anchor => {
    expect(problem(put(three, 'content', 'new', undefined, { before: anchor }))).toBe('anchorNotFound')
    expect(problem(put(three, 'content', 'new', undefined, { after: anchor }))).toBe('anchorNotFound')
  })

  it.each(['', '.', '.mine', '.m.rule.message', 'a/b', 'a\\b'])('with the ID %j is refused', ruleId => {
    expect(problem(put(three, 'content', ruleId))).toBe('invalid')
  })

  it.each<[PushRuleKind, JsonObject]>([
    ['content', { actions: [] }],
    ['content', { actions: [], pattern: 1 }],
    ['content', { pattern: 'x' }],
    ['room', {}],
    ['room', { actions: 'notify' }],
    ['room', { actions: [1] }],
    ['override', { actions: [], conditions: 'x' }],
    ['override', { actions: [], conditions: ['x'] }],
    ['underride', { actions: [], conditions: [{ key: 'type' }] }],
  ])('of kind %s with the body %j is refused', (kind, body) => {
    expect(problem(put(untouchedPushRules, kind, 'new', body))).toBe('invalid')
  })

  it('keeps unknown conditions and takes missing ones for none', () => {
    const rules = done(
      put(untouchedPushRules, 'override', 'new', { actions: [], conditions: [{ kind: 'org.example' }] }),
    )
    expect(rules.rules.override[0]?.conditions).toEqual([{ kind: 'org.example' }])
    expect(done(put(rules, 'override', 'new', { actions: [] })).rules.override[0]?.conditions).toEqual([])
  })

  it('drops the historical actions', () => {
    const rules = done(put(untouchedPushRules, 'room', '!a:b', { actions: ['dont_notify', 'coalesce', 'notify'] }))
    expect(rules.rules.room[0]?.actions).toEqual(['notify'])
  })

  it('that is larger than 1 KiB is refused', () => {
    expect(problem(put(three, 'content', 'new', { actions: [], pattern: 'x'.repeat(900) }))).toBeNull()
    expect(problem(put(three, 'content', 'new', { actions: [], pattern: 'x'.repeat(1_024) }))).toBe('tooLarge')
    expect(problem(put(three, 'content', 'new', { actions: [], pattern: 'é'.repeat(512) }))).toBe('tooLarge')
    const large = ['x'.repeat(1_024)]
    expect(problem(setPushRuleActions(three, alice, { kind: 'content', ruleId: 'a' }, large))).toBe('tooLarge')
    expect(problem(setPushRuleActions(three, alice, { kind: 'underride', ruleId: '.m.rule.call' }, large))).toBe(
      'tooLarge',
    )
  })

  it('beyond the thousandth is refused, but changing one is not', () => {
    const mine = parseStoredPushRules({
      rules: {
        content: Array.from({ length: ownRulesLimit - 1 }, (_, n) => ({ rule_id: `r${n}`, actions: [], pattern: 'x' })),
        room: [{ rule_id: '!a:b', actions: [] }],
      },
    })
    expect(problem(put(mine, 'sender', '@a:b'))).toBe('tooMany')
    expect(problem(put(mine, 'room', '!a:b'))).toBeNull()
  })
})

describe('deleting a push rule', () => {
  it('takes it away', () => {
    expect(own(done(deletePushRule(three, { kind: 'content', ruleId: 'b' })), 'content')).toEqual(['a', 'c'])
  })

  it('that does not exist, or is not the user’s, is refused', () => {
    expect(problem(deletePushRule(three, { kind: 'content', ruleId: 'x' }))).toBe('notFound')
    expect(problem(deletePushRule(three, { kind: 'room', ruleId: 'a' }))).toBe('notFound')
    expect(problem(deletePushRule(three, { kind: 'underride', ruleId: '.m.rule.message' }))).toBe('notFound')
  })
})

describe('changing a push rule', () => {
  const call = { kind: 'underride', ruleId: '.m.rule.call' } as const

  it('of the server keeps only what was changed', () => {
    const off = done(setPushRuleEnabled(untouchedPushRules, alice, call, false))
    expect(off.changes).toEqual({ '.m.rule.call': { enabled: false } })
    const quiet = done(setPushRuleActions(off, alice, call, ['notify']))
    expect(quiet.changes).toEqual({ '.m.rule.call': { enabled: false, actions: ['notify'] } })
    expect(pushRule(rulesetOf(quiet, alice), 'underride', '.m.rule.call')).toEqual({
      ...pushRule(defaultPushRules(alice), 'underride', '.m.rule.call'),
      enabled: false,
      actions: ['notify'],
    })
  })

  it('of the user changes it in place', () => {
    const rules = done(setPushRuleActions(three, alice, { kind: 'content', ruleId: 'b' }, ['dont_notify']))
    expect(own(rules, 'content')).toEqual(['a', 'b', 'c'])
    expect(pushRule(rulesetOf(rules, alice), 'content', 'b')?.actions).toEqual([])
  })

  it.each<[PushRuleKind, string]>([
    ['underride', '.m.rule.unknown'],
    ['override', '.m.rule.call'],
    ['override', '.m.rule.contains_display_name'],
    ['content', 'x'],
    ['room', 'constructor'],
  ])('of kind %s named %s, which does not exist, is refused', (kind, ruleId) => {
    expect(problem(setPushRuleEnabled(three, alice, { kind, ruleId }, true))).toBe('notFound')
    expect(problem(setPushRuleActions(three, alice, { kind, ruleId }, []))).toBe('notFound')
  })

  it.each<JsonValue | undefined>([undefined, null, 'true', 1])('to enabled: %j is refused', enabled => {
    expect(problem(setPushRuleEnabled(three, alice, call, enabled))).toBe('invalid')
  })

  it.each<JsonValue | undefined>([undefined, null, 'notify', [null], [['notify']]])(
    'to the actions %j is refused',
    actions => {
      expect(problem(setPushRuleActions(three, alice, call, actions))).toBe('invalid')
    },
  )
})

describe('stored push rules', () => {
  it('survive being kept as JSON', () => {
    const rules = done(setPushRuleEnabled(three, alice, { kind: 'override', ruleId: '.m.rule.master' }, true))
    expect(parseStoredPushRules(JSON.parse(JSON.stringify(rules)))).toEqual(rules)
  })

  it.each<JsonValue | undefined>([undefined, null, [], 'x', {}, { rules: [], changes: [] }])(
    'are untouched if what was kept is %j',
    json => {
      expect(parseStoredPushRules(json)).toEqual(untouchedPushRules)
    },
  )

  it('lose what is malformed and nothing else', () => {
    const rules = parseStoredPushRules({
      rules: {
        content: [{ rule_id: 'bad', actions: [] }, 'x', { rule_id: 'good', actions: [], pattern: 'y', enabled: false }],
        room: 'x',
      },
      changes: { '.m.rule.call': { enabled: 'no', actions: ['notify'] }, '.m.rule.message': 1 },
    })
    expect(own(rules, 'content')).toEqual(['good'])
    expect(rules.rules.content[0]?.enabled).toBe(false)
    expect(rules.changes).toEqual({ '.m.rule.call': { actions: ['notify'] }, '.m.rule.message': {} })
  })

  it('know the kinds by name', () => {
    expect(pushRuleKinds.map(pushRuleKind)).toEqual([...pushRuleKinds])
    expect(pushRuleKind('device')).toBeNull()
    expect(pushRuleKind('constructor')).toBeNull()
  })

  it('may have actions that nobody knows', () => {
    expect(parseActions(['org.example.wink', { 'org.example': 1 }])).toEqual(['org.example.wink', { 'org.example': 1 }])
  })
})
