import { type JsonObject, type JsonValue } from '../json.ts'
import { type UserId } from '../identifiers.ts'
import { defaultPushRules } from './defaults.ts'
import {
  parseActions,
  parseRuleParts,
  pushRule,
  pushRuleKinds,
  type DefaultRuleChange,
  type OwnPushRule,
  type PushRuleKind,
  type StoredPushRules,
} from './ruleset.ts'

/** The number of rules that a user may make, over all kinds. */
export const ownRulesLimit = 1_000

/** The size of one rule as JSON in UTF-8, in bytes. */
export const ruleLimitBytes = 1_024

/**
 * Why an edit was refused. `notFound`: there is no such rule (404). `anchorNotFound`: there is no such rule of the user's
 * own to stand before or after (400). `invalid`: the body or the rule's ID breaks the spec's rules (400).
 * `tooLarge`, `tooMany`: the limits above (400).
 */
export type PushRuleProblem = 'notFound' | 'anchorNotFound' | 'invalid' | 'tooLarge' | 'tooMany'

/** The rules after an edit, or why there was none; the reason is fit for a client. */
export type PushRuleEdit =
  | { readonly ok: true; readonly rules: StoredPushRules }
  | { readonly ok: false; readonly problem: PushRuleProblem; readonly reason: string }

/** Which rule an edit is about. */
export interface PushRulePlace {
  readonly kind: PushRuleKind
  readonly ruleId: string
}

/** Where a rule is to stand among the user's own of its kind. If both are given, `before` counts. */
export interface PushRuleAnchor {
  /** It becomes the next more important one than this rule. */
  readonly before: string | null
  /** It becomes the next less important one than this rule. */
  readonly after: string | null
}

/**
 * Makes a rule, or gives new contents to the one that has this ID. A new rule is enabled, and without an anchor it
 * becomes the most important of its kind; one that exists stays enabled or disabled and, without an anchor, in its place.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
 */
export function putPushRule(
  stored: StoredPushRules,
  { kind, ruleId }: PushRulePlace,
  anchor: PushRuleAnchor,
  body: JsonObject,
): PushRuleEdit {
  const badId = ruleIdProblem(ruleId)
  if (badId !== null) return refuse('invalid', badId)
  const parsed = parseRuleParts(kind, body)
  if (!parsed.ok) return refuse('invalid', parsed.reason)

  const existing = stored.rules[kind].find(rule => rule.rule_id === ruleId)
  const rule: OwnPushRule = { rule_id: ruleId, default: false, enabled: existing?.enabled ?? true, ...parsed.parts }
  if (isTooLarge(rule)) return refuse('tooLarge', `a push rule may have ${ruleLimitBytes} bytes`)
  if (!existing && ownRuleCount(stored) >= ownRulesLimit) {
    return refuse('tooMany', `there may be ${ownRulesLimit} push rules`)
  }

  const anchorId = anchor.before ?? anchor.after
  if (anchorId === null) {
    const list = stored.rules[kind]
    return withOwnRules(stored, kind, existing ? list.map(old => (old === existing ? rule : old)) : [rule, ...list])
  }
  // "It is not possible to add a rule relative to a predefined server rule": those are not among the user's own.
  const others = stored.rules[kind].filter(old => old !== existing)
  const found = others.findIndex(old => old.rule_id === anchorId)
  if (found < 0) return refuse('anchorNotFound', `before/after rule not found: ${anchorId}`)
  return withOwnRules(stored, kind, others.toSpliced(anchor.before === null ? found + 1 : found, 0, rule))
}

/** Removes one of the user's own rules. The server's rules cannot be removed: for them the answer is `notFound`. */
export function deletePushRule(stored: StoredPushRules, { kind, ruleId }: PushRulePlace): PushRuleEdit {
  const left = stored.rules[kind].filter(rule => rule.rule_id !== ruleId)
  if (left.length === stored.rules[kind].length) return notFound
  return withOwnRules(stored, kind, left)
}

/** Enables or disables a rule, the user's own or the server's. `enabled` is the value from the body, not yet checked. */
export function setPushRuleEnabled(
  stored: StoredPushRules,
  userId: UserId,
  place: PushRulePlace,
  enabled: JsonValue | undefined,
): PushRuleEdit {
  if (typeof enabled !== 'boolean') return refuse('invalid', '`enabled` must be a boolean')
  return changeRule(stored, userId, place, { enabled })
}

/** Sets what a rule does, the user's own or the server's. `actions` is the value from the body, not yet checked. */
export function setPushRuleActions(
  stored: StoredPushRules,
  userId: UserId,
  place: PushRulePlace,
  actions: JsonValue | undefined,
): PushRuleEdit {
  const parsed = parseActions(actions)
  if (parsed === null) return refuse('invalid', '`actions` must be an array of strings and objects')
  return changeRule(stored, userId, place, { actions: parsed })
}

function changeRule(
  stored: StoredPushRules,
  userId: UserId,
  { kind, ruleId }: PushRulePlace,
  change: DefaultRuleChange,
): PushRuleEdit {
  const own = stored.rules[kind].find(rule => rule.rule_id === ruleId)
  const standard = own ? null : pushRule(defaultPushRules(userId), kind, ruleId)
  if (!own && !standard) return notFound
  if (isTooLarge({ ...(own ?? standard), ...change })) {
    return refuse('tooLarge', `a push rule may have ${ruleLimitBytes} bytes`)
  }
  if (own) {
    const changed = stored.rules[kind].map(rule => (rule === own ? { ...own, ...change } : rule))
    return withOwnRules(stored, kind, changed)
  }
  const before = Object.hasOwn(stored.changes, ruleId) ? stored.changes[ruleId] : undefined
  return { ok: true, rules: { ...stored, changes: { ...stored.changes, [ruleId]: { ...before, ...change } } } }
}

function ruleIdProblem(ruleId: string): string | null {
  if (ruleId === '') return 'a rule ID may not be empty'
  if (ruleId.startsWith('.')) return 'rule IDs that start with a dot are reserved for the server'
  if (ruleId.includes('/') || ruleId.includes('\\')) return 'slashes and backslashes are not allowed in rule IDs'
  return null
}

function isTooLarge(rule: object): boolean {
  return Buffer.byteLength(JSON.stringify(rule)) > ruleLimitBytes
}

function ownRuleCount(stored: StoredPushRules): number {
  return pushRuleKinds.reduce((sum, kind) => sum + stored.rules[kind].length, 0)
}

function withOwnRules(stored: StoredPushRules, kind: PushRuleKind, rules: readonly OwnPushRule[]): PushRuleEdit {
  return { ok: true, rules: { ...stored, rules: { ...stored.rules, [kind]: rules } } }
}

function refuse(problem: PushRuleProblem, reason: string): PushRuleEdit {
  return { ok: false, problem, reason }
}

const notFound = refuse('notFound', 'The push rule was not found.')
