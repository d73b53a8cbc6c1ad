import { endpoint } from '../../../http/endpoint.ts'
import { retentionConfiguration } from '../../../retention/configuration.ts'

/** How long messages live on this server. https://github.com/matrix-org/matrix-spec-proposals/pull/1763 */
export const configuration = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/retention/configuration',
  aliases: ['/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'],
  auth: 'guest',
  limit: 'light',
  handle: (ctx, { caller }) => retentionConfiguration(ctx, caller.userNumber),
})
