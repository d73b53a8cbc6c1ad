import { endpoint } from '../../http/endpoint.ts'
import { shownRuleset } from '../../push/rules.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules */
export const getPushRules = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/',
  // The specification's slash at the end is easily lost.
  aliases: ['/_matrix/client/v3/pushrules'],
  auth: 'user',
  limit: 'light',
  handle: async (ctx, { caller }) => ({ global: await shownRuleset(ctx, caller.userId) }),
})
