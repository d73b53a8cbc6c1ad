import Type from 'typebox'
import * as decoders from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import { setPushRuleActions } from '../../../../protocol/push-rules/edit.ts'
import { pushRuleKinds } from '../../../../protocol/push-rules/ruleset.ts'
import { editPushRules, shownPushRule } from '../../../../push/rules.ts'

const path = '/_matrix/client/v3/pushrules/global/:kind/:ruleId/actions'
const place = { kind: decoders.oneOf(...pushRuleKinds), ruleId: decoders.string }

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions */
export const getActions = endpoint({
  method: 'GET',
  path,
  auth: 'user',
  limit: 'light',
  params: place,
  handle: async (ctx, { caller, params }) => {
    const { actions } = await shownPushRule(ctx, caller.userId, params.kind, params.ruleId)
    return { actions: [...actions] }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions */
export const putActions = endpoint({
  method: 'PUT',
  path,
  auth: 'user',
  limit: 'light',
  params: place,
  body: Type.Object({ actions: Type.Array(Type.Any()) }),
  handle: async (ctx, { caller, params, body }) => {
    await editPushRules(ctx, caller, stored => setPushRuleActions(stored, caller.userId, params, body.actions))
    return {}
  },
})
