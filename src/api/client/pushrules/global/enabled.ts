import Type from 'typebox'
import * as decoders from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import { setPushRuleEnabled } from '../../../../protocol/push-rules/edit.ts'
import { pushRuleKinds } from '../../../../protocol/push-rules/ruleset.ts'
import { editPushRules, shownPushRule } from '../../../../push/rules.ts'

const path = '/_matrix/client/v3/pushrules/global/:kind/:ruleId/enabled'
const place = { kind: decoders.oneOf(...pushRuleKinds), ruleId: decoders.string }

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
export const getEnabled = endpoint({
  method: 'GET',
  path,
  auth: 'user',
  limit: 'light',
  params: place,
  handle: async (ctx, { caller, params }) => {
    const { enabled } = await shownPushRule(ctx, caller.userId, params.kind, params.ruleId)
    return { enabled }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled */
export const putEnabled = endpoint({
  method: 'PUT',
  path,
  auth: 'user',
  limit: 'light',
  params: place,
  body: Type.Object({ enabled: Type.Boolean() }),
  handle: async (ctx, { caller, params, body }) => {
    await editPushRules(ctx, caller, stored => setPushRuleEnabled(stored, caller.userId, params, body.enabled))
    return {}
  },
})
