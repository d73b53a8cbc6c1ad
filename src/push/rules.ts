import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { invalidParam, MatrixError, notFound } from '../errors.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonValue } from '../protocol/json.ts'
import { type PushRuleEdit, type PushRuleProblem } from '../protocol/push-rules/edit.ts'
import { type CompiledRuleset, compileRuleset } from '../protocol/push-rules/evaluate.ts'
import {
  parseStoredPushRules, pushRule, type PushRule, type PushRuleKind, type Ruleset, rulesetOf, type StoredPushRules,
} from '../protocol/push-rules/ruleset.ts' // prettier-ignore
import { lockAccount } from '../storage/accounts.ts'
import { pushRulesType, storedPushRulesOf } from '../storage/push-rules.ts'

/** How many users' rules are kept ready. */
const rememberedLimit = 20_000

/** A user's push rules in the two forms in which they are used. */
export interface UserPushRules {
  /** As the API shows them. */
  readonly ruleset: Ruleset
  /** As `evaluatePushRules` takes them. */
  readonly compiled: CompiledRuleset
}

/**
 * Promises, because a rule may change while the rules are being read: the log's entry removes the promise, so whoever asks
 * from then on reads again, and only those who had asked before get what there was before.
 */
const remembered = perServer(ctx => {
  const cache = new LRUCache<UserId, Promise<UserPushRules>>({ max: rememberedLimit })
  ctx.log.subscribe(entries => {
    for (const entry of entries) {
      if (entry.kind === 'account_data' && entry.roomId === null && entry.type === pushRulesType) {
        cache.delete(entry.userId)
      }
    }
  })
  return cache
})

/** The rules of promises that have been kept. */
const ready = new WeakMap<Promise<UserPushRules>, UserPushRules>()

/** The push rules in force for a user, if they are remembered; else `null`. */
export function knownPushRules(ctx: Context, userId: UserId): UserPushRules | null {
  const known = remembered(ctx).get(userId)
  return (known && ready.get(known)) ?? null
}

/** The push rules in force for a user of this server. */
export async function pushRulesOf(ctx: Context, userId: UserId): Promise<UserPushRules> {
  const rules = (await pushRulesOfAll(ctx, [userId])).get(userId)
  if (!rules) throw new Error('asked for the rules of one user and got those of none')
  return rules
}

/** The push rules in force for users of this server, every one of them, in at most one query. */
export async function pushRulesOfAll(
  ctx: Context,
  userIds: Iterable<UserId>,
): Promise<ReadonlyMap<UserId, UserPushRules>> {
  const cache = remembered(ctx)
  const wanted = new Map<UserId, Promise<UserPushRules>>()
  const missing: UserId[] = []
  for (const userId of new Set(userIds)) {
    const known = cache.get(userId)
    if (known) wanted.set(userId, known)
    else missing.push(userId)
  }
  if (missing.length > 0) {
    const loading = load(ctx, missing)
    for (const userId of missing) {
      const own = loading.then(stored => bothForms(stored.get(userId), userId))
      cache.set(userId, own)
      // What failed is asked for again; those who wait for it are told below.
      own.then(
        rules => ready.set(own, rules),
        () => cache.peek(userId) === own && cache.delete(userId),
      )
      wanted.set(userId, own)
    }
  }
  const rules = new Map<UserId, UserPushRules>()
  for (const [userId, promise] of wanted) rules.set(userId, await promise)
  return rules
}

async function load(ctx: Context, userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, StoredPushRules>> {
  const numbers = await ctx.numbers.users(userIds)
  const contents = await storedPushRulesOf(ctx.db.kysely, ctx.numbers.sealer, [...numbers.values()])
  return new Map([...numbers].map(([userId, number]) => [userId, storedForm(contents.get(number) ?? null)]))
}

function bothForms(stored: StoredPushRules | undefined, userId: UserId): UserPushRules {
  const ruleset = rulesetOf(stored ?? storedForm(null), userId)
  return { ruleset, compiled: compileRuleset(ruleset) }
}

function storedForm(content: string | null): StoredPushRules {
  // The column holds JSON text that this server wrote; what it says is checked by the parser.
  return parseStoredPushRules(content === null ? undefined : (JSON.parse(content) as JsonValue))
}

/** What stands between the API's answers and JSON's own type: nothing but `readonly`. */
function shown<T extends Ruleset | PushRule>(rules: T): T & { [key: string]: JsonValue } {
  // Rulesets and rules are made of strings, booleans, arrays and JSON objects.
  return rules as T & { [key: string]: JsonValue }
}

/** The answer to `GET /pushrules/global/`. */
export async function shownRuleset(ctx: Context, userId: UserId) {
  return shown((await pushRulesOf(ctx, userId)).ruleset)
}

/** One rule as the API shows it. Throws M_NOT_FOUND. */
export async function shownPushRule(ctx: Context, userId: UserId, kind: PushRuleKind, ruleId: string) {
  const { ruleset } = await pushRulesOf(ctx, userId)
  const rule = pushRule(ruleset, kind, ruleId)
  if (!rule) throw notFound('The push rule was not found.')
  return shown(rule)
}

/**
 * An item of account data as clients see it, as JSON text. Push rules are kept as what the user changed and shown as the
 * whole ruleset, with the server's own rules as they stand today; everything else is shown as it is kept.
 */
export function shownAccountData(userId: UserId, roomId: RoomId | null, type: string, content: string): string {
  return roomId === null && type === pushRulesType ? shownPushRules(userId, content) : content
}

/**
 * The content of a user's `m.push_rules` as clients see it, as JSON text. `content` is the stored form, `null` for a user
 * who never touched their rules: their first sync shows the server's.
 * https://spec.matrix.org/v1.19/client-server-api/#mpush_rules
 */
export function shownPushRules(userId: UserId, content: string | null): string {
  return JSON.stringify({ global: rulesetOf(storedForm(content), userId) })
}

/**
 * Changes a user's push rules; their devices hear of it through the log. `edit` is pure and may be called again. Throws
 * M_NOT_FOUND, M_INVALID_PARAM or M_UNKNOWN (400) for what `edit` refuses.
 */
export async function editPushRules(
  ctx: Context,
  caller: { readonly userId: UserId; readonly userNumber: number },
  edit: (stored: StoredPushRules) => PushRuleEdit,
): Promise<void> {
  const { userId, userNumber } = caller
  await ctx.log.transact(async (tx, announce) => {
    // Two devices that edit at once: the second edits what the first has left.
    await lockAccount(tx, userNumber)
    const before = (await storedPushRulesOf(tx, ctx.numbers.sealer, [userNumber])).get(userNumber) ?? null
    const edited = edit(storedForm(before))
    if (!edited.ok) throw problemError(edited.problem, edited.reason)
    const content = JSON.stringify(edited.rules)
    announce({ kind: 'account_data', userId, roomId: null, type: pushRulesType, content })
  })
}

function problemError(problem: PushRuleProblem, reason: string): MatrixError {
  switch (problem) {
    case 'notFound':
      return notFound(reason)
    case 'invalid':
    case 'tooLarge':
      return invalidParam(reason)
    case 'anchorNotFound':
    case 'tooMany':
      return new MatrixError('M_UNKNOWN', reason)
  }
}
