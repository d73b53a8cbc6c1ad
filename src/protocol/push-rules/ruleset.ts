import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { type UserId } from '../identifiers.ts'
import { defaultPushRules, masterRuleId } from './defaults.ts'

/** The kinds of push rules in the order in which they are checked. */
export const pushRuleKinds = ['override', 'content', 'room', 'sender', 'underride'] as const

export type PushRuleKind = (typeof pushRuleKinds)[number]

/** `notify`, `{ set_tweak, value? }`, or something that a later version of the spec will define. */
export type PushAction = string | JsonObject

/** One rule in the shape in which the API serves it. */
export interface PushRule {
  readonly rule_id: string
  /** Whether the rule is one of the server's. */
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly PushAction[]
  /** Of `override` and `underride` rules; all must hold. */
  readonly conditions?: readonly JsonObject[]
  /** Of `content` rules: a glob. */
  readonly pattern?: string
}

/** All rules of a user, most important first within each kind: the answer to `GET /pushrules/global/`. */
export type Ruleset = { readonly [Kind in PushRuleKind]: readonly PushRule[] }

/** A rule that the user made. */
export type OwnPushRule = PushRule & { readonly default: false }

/** What a user changed about one of the server's rules. */
export interface DefaultRuleChange {
  readonly enabled?: boolean
  readonly actions?: readonly PushAction[]
}

/**
 * What is kept of a user's push rules: their own, and their changes to the server's. The server's rules themselves are
 * not kept, so a new one reaches those who registered before it existed. It is JSON as it stands.
 */
export interface StoredPushRules {
  readonly rules: { readonly [Kind in PushRuleKind]: readonly OwnPushRule[] }
  /** By rule ID; the IDs of default rules are unique across kinds. A change to a rule that no longer exists is inert. */
  readonly changes: { readonly [ruleId: string]: DefaultRuleChange }
}

/** Of a user who never touched their push rules. */
export const untouchedPushRules: StoredPushRules = {
  rules: { override: [], content: [], room: [], sender: [], underride: [] },
  changes: {},
}

/** The kind that a path names, or `null`. */
export function pushRuleKind(name: string): PushRuleKind | null {
  return pushRuleKinds.find(kind => kind === name) ?? null
}

/** The rules in force for a user: their own merged with the server's, the latter as the user changed them. */
export function rulesetOf(stored: StoredPushRules, userId: UserId): Ruleset {
  const defaults = defaultPushRules(userId)
  const ofKind = (kind: PushRuleKind): PushRule[] => {
    const changed = defaults[kind].map(rule => withChange(rule, stored.changes))
    // "except for the `.m.rule.master` rule which has always a higher priority than any other rule"
    return [
      ...changed.filter(rule => rule.rule_id === masterRuleId),
      ...stored.rules[kind],
      ...changed.filter(rule => rule.rule_id !== masterRuleId),
    ]
  }
  return {
    override: ofKind('override'),
    content: ofKind('content'),
    room: ofKind('room'),
    sender: ofKind('sender'),
    underride: ofKind('underride'),
  }
}

function withChange(rule: PushRule, changes: StoredPushRules['changes']): PushRule {
  const change = Object.hasOwn(changes, rule.rule_id) ? changes[rule.rule_id] : undefined
  return change ? { ...rule, ...change } : rule
}

/** One rule of a ruleset, or `null`. */
export function pushRule(ruleset: Ruleset, kind: PushRuleKind, ruleId: string): PushRule | null {
  return ruleset[kind].find(rule => rule.rule_id === ruleId) ?? null
}

/**
 * The actions of an array that clients may send, without the historical ones, which "MUST be ignored"; `null` if the
 * value is not an array of strings and objects. https://spec.matrix.org/v1.19/client-server-api/#historical-actions
 */
export function parseActions(value: JsonValue | undefined): PushAction[] | null {
  if (!Array.isArray(value)) return null
  const actions: PushAction[] = []
  for (const action of value) {
    if (typeof action !== 'string' && !isJsonObject(action)) return null
    if (action !== 'dont_notify' && action !== 'coalesce') actions.push(action)
  }
  return actions
}

/**
 * Reads the stored form back from JSON. What is malformed is left out, rule by rule, so that one bad row costs
 * that rule and never the user's sync; `undefined` and `null` are a user who has stored nothing.
 */
export function parseStoredPushRules(json: JsonValue | undefined): StoredPushRules {
  if (!isJsonObject(json)) return untouchedPushRules
  const { rules, changes } = json
  const ofKind = (kind: PushRuleKind): OwnPushRule[] => {
    const list = isJsonObject(rules) ? rules[kind] : undefined
    return Array.isArray(list) ? list.map(rule => parseOwnRule(kind, rule)).filter(rule => rule !== null) : []
  }
  return {
    rules: {
      override: ofKind('override'),
      content: ofKind('content'),
      room: ofKind('room'),
      sender: ofKind('sender'),
      underride: ofKind('underride'),
    },
    changes: Object.fromEntries(
      Object.entries(isJsonObject(changes) ? changes : {}).map(([ruleId, change]) => [ruleId, parseChange(change)]),
    ),
  }
}

/** A user's own rule in its stored or served shape, or `null` if it is not one. */
function parseOwnRule(kind: PushRuleKind, value: JsonValue): OwnPushRule | null {
  if (!isJsonObject(value) || typeof value.rule_id !== 'string') return null
  const parts = parseRuleParts(kind, value)
  if (!parts.ok) return null
  return { rule_id: value.rule_id, default: false, enabled: value.enabled !== false, ...parts.parts }
}

function parseChange(value: JsonValue): DefaultRuleChange {
  if (!isJsonObject(value)) return {}
  const actions = parseActions(value.actions)
  return {
    ...(typeof value.enabled === 'boolean' && { enabled: value.enabled }),
    ...(actions !== null && { actions }),
  }
}

/** What a rule of a kind does, without its name and whether it is enabled. */
export type RuleParts = Pick<PushRule, 'actions' | 'conditions' | 'pattern'>

/**
 * Reads `actions`, and `conditions` or `pattern` where the kind has them, out of a rule's JSON; other keys are not
 * kept. Conditions of an unknown kind are kept, and will never match. The reason of a refusal is fit for a client.
 */
export function parseRuleParts(
  kind: PushRuleKind,
  rule: JsonObject,
): { readonly ok: true; readonly parts: RuleParts } | { readonly ok: false; readonly reason: string } {
  const actions = parseActions(rule.actions)
  if (actions === null) return { ok: false, reason: '`actions` must be an array of strings and objects' }
  switch (kind) {
    case 'override':
    case 'underride': {
      const conditions = rule.conditions ?? []
      if (!Array.isArray(conditions) || !conditions.every(isCondition)) {
        return { ok: false, reason: '`conditions` must be an array of objects, each with a `kind`' }
      }
      return { ok: true, parts: { actions, conditions } }
    }
    case 'content':
      if (typeof rule.pattern !== 'string') return { ok: false, reason: 'a content rule needs a `pattern`' }
      return { ok: true, parts: { actions, pattern: rule.pattern } }
    case 'room':
    case 'sender':
      return { ok: true, parts: { actions } }
  }
}

function isCondition(value: JsonValue): value is JsonObject {
  return isJsonObject(value) && typeof value.kind === 'string'
}
