import Type from 'typebox'
import * as decoders from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { deletePushRule, putPushRule } from '../../../protocol/push-rules/edit.ts'
import { pushRuleKinds } from '../../../protocol/push-rules/ruleset.ts'
import { editPushRules, shownPushRule, shownRuleset } from '../../../push/rules.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal */
export const getGlobalPushRules = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/',
  aliases: ['/_matrix/client/v3/pushrules/global'],
  auth: 'user',
  limit: 'light',
  handle: (ctx, { caller }) => shownRuleset(ctx, caller.userId),
})

const rulePath = '/_matrix/client/v3/pushrules/global/:kind/:ruleId'
const place = { kind: decoders.oneOf(...pushRuleKinds), ruleId: decoders.string }

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid */
export const getPushRule = endpoint({
  method: 'GET',
  path: rulePath,
  auth: 'user',
  limit: 'light',
  params: place,
  handle: (ctx, { caller, params }) => shownPushRule(ctx, caller.userId, params.kind, params.ruleId),
})

const anchors = {
  before: decoders.withDefault<string | null>(decoders.string, null),
  after: decoders.withDefault<string | null>(decoders.string, null),
}

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid */
export const putRule = endpoint({
  method: 'PUT',
  path: rulePath,
  auth: 'user',
  limit: 'light',
  params: place,
  query: anchors,
  // What the parts of a rule may be depends on its kind; `putPushRule` checks that.
  body: Type.Object({ actions: Type.Any() }),
  handle: async (ctx, { caller, params, query, body }) => {
    await editPushRules(ctx, caller, stored => putPushRule(stored, params, query, body))
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid */
export const deleteRule = endpoint({
  method: 'DELETE',
  path: rulePath,
  auth: 'user',
  limit: 'light',
  params: place,
  handle: async (ctx, { caller, params }) => {
    await editPushRules(ctx, caller, stored => deletePushRule(stored, params))
    return {}
  },
})
