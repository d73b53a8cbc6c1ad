import { compileGlob, compileWord, compileWordGlob, foldCase, type Glob } from '../glob.ts'
import { type EventId, type RoomId, type UserId } from '../identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { parsePropertyPath, valueAtPath } from '../property-path.ts'
import {
  parseActions,
  pushRuleKinds,
  type PushAction,
  type PushRule,
  type PushRuleKind,
  type Ruleset,
} from './ruleset.ts'

/** What rules can see of an event. Every `Event` is one. */
export interface PushEvent {
  readonly eventId: EventId
  readonly roomId: RoomId
  readonly type: string
  readonly sender: UserId
  readonly stateKey: string | null
  readonly content: JsonObject
}

/** What rules can see of a user and the room, at the time of the event. */
export interface PushContext {
  readonly userId: UserId
  /** The user's display name in the room; `null` if they have none. */
  readonly displayName: string | null
  /** The number of joined members. */
  readonly memberCount: number
  /** The power level of the event's sender; `Infinity` for a creator since room version 12. */
  readonly senderPowerLevel: number
  /** `notifications` of the room's power levels; a level that is absent is 50. */
  readonly notificationLevels: ReadonlyMap<string, number>
}

/** What one user's rules say about one event. */
export interface PushOutcome {
  /** Whether the event counts as a notification and goes to the user's pushers. */
  readonly notify: boolean
  /** Whether it counts as a highlight; never without `notify`. */
  readonly highlight: boolean
  /** The sound to play, or `null`; never without `notify`. */
  readonly sound: string | null
  /** The actions of the rule that matched. */
  readonly actions: readonly PushAction[]
  /** The rule that matched, or `null`. */
  readonly ruleId: string | null
}

/** A user's rules, ready to be evaluated: the disabled ones and those that can never match are left out. */
export interface CompiledRuleset {
  readonly rules: readonly CompiledRule[]
}

interface CompiledRule {
  /** The only type, with its case folded, that the rule can match; `null` if it looks at others too. Most rules name one. */
  readonly type: string | null
  /** The conditions beside the one on `type`. */
  readonly conditions: readonly Condition[]
  readonly outcome: PushOutcome
}

type Condition = (event: PreparedPushEvent, context: PushContext) => boolean

/** An event whose properties are looked up, and their case folded, once for all the users whom it may concern. */
export class PreparedPushEvent {
  readonly event: PushEvent
  /** The event's type with its case folded. */
  readonly type: string
  readonly #properties: JsonObject
  readonly #values = new Map<string, JsonValue | undefined>()
  readonly #folded = new Map<string, string | null>()

  constructor(event: PushEvent) {
    this.event = event
    this.type = foldCase(event.type)
    this.#properties = {
      event_id: event.eventId,
      room_id: event.roomId,
      type: event.type,
      sender: event.sender,
      content: event.content,
      ...(event.stateKey !== null && { state_key: event.stateKey }),
    }
  }

  /** The value at a dotted path; `undefined` if there is none. */
  value(property: Property): JsonValue | undefined {
    const known = this.#values.get(property.key)
    if (known !== undefined || this.#values.has(property.key)) return known
    const value = valueAtPath(this.#properties, property.path)
    this.#values.set(property.key, value)
    return value
  }

  /** The string at a dotted path with its case folded; `null` if there is none or it is not a string. */
  folded(property: Property): string | null {
    let text = this.#folded.get(property.key)
    if (text === undefined) {
      const value = this.value(property)
      text = typeof value === 'string' ? foldCase(value) : null
      this.#folded.set(property.key, text)
    }
    return text
  }
}

interface Property {
  readonly key: string
  readonly path: readonly string[]
}

const body: Property = { key: 'content.body', path: ['content', 'body'] }

const nothing: PushOutcome = { notify: false, highlight: false, sound: null, actions: [], ruleId: null }

/** Prepares an event for `evaluatePushRules`; do it once for all users. */
export function preparePushEvent(event: PushEvent): PreparedPushEvent {
  return new PreparedPushEvent(event)
}

/** Prepares a user's rules for `evaluatePushRules`; do it once for all events. */
export function compileRuleset(ruleset: Ruleset): CompiledRuleset {
  const rules: CompiledRule[] = []
  for (const kind of pushRuleKinds) {
    for (const rule of ruleset[kind]) {
      const conditions = rule.enabled ? conditionsOf(kind, rule) : null
      if (conditions) rules.push({ ...conditions, outcome: outcomeOf(rule) })
    }
  }
  return { rules }
}

/**
 * What a user's rules say about an event: the first rule whose conditions all hold decides. A user is never notified of
 * their own events. https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
export function evaluatePushRules(
  ruleset: CompiledRuleset,
  event: PreparedPushEvent,
  context: PushContext,
): PushOutcome {
  if (event.event.sender === context.userId) return nothing
  for (const rule of ruleset.rules) {
    if (rule.type !== null && rule.type !== event.type) continue
    if (allHold(rule.conditions, event, context)) return rule.outcome
  }
  return nothing
}

function allHold(conditions: readonly Condition[], event: PreparedPushEvent, context: PushContext): boolean {
  for (const holds of conditions) if (!holds(event, context)) return false
  return true
}

/** The `tweaks` to hand to a push gateway: every `set_tweak` of the actions that has a value, and `highlight`. */
export function tweaksOf(actions: readonly PushAction[]): JsonObject {
  // The gateway gets whatever name the user chose, so the object must have no names of its own.
  // `Object.create` is typed as `any`; an empty object is a JSON object.
  const tweaks = Object.create(null) as JsonObject
  for (const action of actions) {
    if (typeof action === 'string' || typeof action.set_tweak !== 'string') continue
    // "If a `highlight` tweak is given with no value, its value is defined to be `true`."
    const value = action.value ?? (action.set_tweak === 'highlight' ? true : undefined)
    if (value !== undefined) tweaks[action.set_tweak] = value
  }
  return tweaks
}

function outcomeOf(rule: PushRule): PushOutcome {
  const actions = parseActions([...rule.actions]) ?? []
  const notify = actions.includes('notify')
  const { highlight, sound } = tweaksOf(actions)
  return {
    notify,
    highlight: notify && highlight === true,
    sound: notify && typeof sound === 'string' ? sound : null,
    actions,
    ruleId: rule.rule_id,
  }
}

/** The conditions of a rule, or `null` if one of them can never hold. */
function conditionsOf(kind: PushRuleKind, rule: PushRule): Pick<CompiledRule, 'type' | 'conditions'> | null {
  switch (kind) {
    case 'override':
    case 'underride': {
      let type: string | null = null
      const conditions: Condition[] = []
      for (const json of rule.conditions ?? []) {
        const literal: string | null = type === null ? literalType(json) : null
        if (literal !== null) {
          type = literal
          continue
        }
        const condition = compileCondition(json)
        if (!condition) return null
        conditions.push(condition)
      }
      return { type, conditions }
    }
    case 'content':
      if (rule.pattern === undefined) return null
      return { type: null, conditions: [matchesGlob(body, compileWordGlob(rule.pattern))] }
    case 'room':
      return { type: null, conditions: [event => event.event.roomId === rule.rule_id] }
    case 'sender':
      return { type: null, conditions: [event => event.event.sender === rule.rule_id] }
  }
}

/** The type that an `event_match` without wildcards asks for, with its case folded; `null` for any other condition. */
function literalType({ kind, key, pattern }: JsonObject): string | null {
  if (kind !== 'event_match' || key !== 'type' || typeof pattern !== 'string') return null
  return compileGlob(pattern, { caseSensitive: false }).literal
}

/** A condition, or `null` for one that is unknown or malformed: "Unrecognised conditions MUST NOT match any events". */
function compileCondition(condition: JsonObject): Condition | null {
  const { kind, key, pattern, value } = condition
  switch (kind) {
    case 'event_match': {
      if (typeof key !== 'string' || typeof pattern !== 'string') return null
      const property = propertyOf(key)
      // The special case is about the property, however its path is written.
      const isBody = property.path.length === 2 && property.path[0] === 'content' && property.path[1] === 'body'
      return matchesGlob(property, isBody ? compileWordGlob(pattern) : compileGlob(pattern, { caseSensitive: false }))
    }
    case 'event_property_is': {
      if (typeof key !== 'string' || !isSimple(value)) return null
      const property = propertyOf(key)
      return event => event.value(property) === value
    }
    case 'event_property_contains': {
      if (typeof key !== 'string' || !isSimple(value)) return null
      const property = propertyOf(key)
      return event => {
        const list = event.value(property)
        return Array.isArray(list) && list.includes(value)
      }
    }
    case 'contains_display_name':
      return containsDisplayName()
    case 'room_member_count':
      return typeof condition.is === 'string' ? compileMemberCount(condition.is) : null
    case 'sender_notification_permission':
      if (typeof key !== 'string') return null
      return (_event, context) => context.senderPowerLevel >= (context.notificationLevels.get(key) ?? 50)
    default:
      return null
  }
}

function propertyOf(key: string): Property {
  return { key, path: parsePropertyPath(key) }
}

/** A string, an integer that canonical JSON can hold, a boolean or null. */
function isSimple(value: JsonValue | undefined): value is string | number | boolean | null {
  if (value === undefined || Array.isArray(value) || isJsonObject(value)) return false
  return typeof value !== 'number' || Number.isSafeInteger(value)
}

function matchesGlob(property: Property, glob: Glob): Condition {
  return event => {
    const text = event.folded(property)
    return text !== null && glob.matchesFolded(text)
  }
}

function containsDisplayName(): Condition {
  let compiledFor: string | null = null
  let name: Glob | null = null
  return (event, { displayName }) => {
    if (displayName === null || displayName === '') return false
    const text = event.folded(body)
    if (text === null) return false
    if (displayName !== compiledFor || name === null) {
      name = compileWord(displayName)
      compiledFor = displayName
    }
    return name.matchesFolded(text)
  }
}

function compileMemberCount(is: string): Condition | null {
  const parts = /^(==|<=|>=|<|>|)([0-9]{1,15})$/.exec(is)
  if (!parts) return null
  const count = Number(parts[2])
  switch (parts[1]) {
    case '<':
      return (_event, { memberCount }) => memberCount < count
    case '>':
      return (_event, { memberCount }) => memberCount > count
    case '<=':
      return (_event, { memberCount }) => memberCount <= count
    case '>=':
      return (_event, { memberCount }) => memberCount >= count
    default:
      return (_event, { memberCount }) => memberCount === count
  }
}
