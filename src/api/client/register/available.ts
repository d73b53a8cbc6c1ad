import { availableUserId, registrationFlows } from '../../../accounts/registration.ts'
import { longString } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable */
export const registerAvailable = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/register/available',
  auth: 'none',
  limit: 'anonymous',
  query: { username: longString },
  handle: async (ctx, { query }) => {
    // Where nobody can register, nobody need know which names are taken.
    registrationFlows(ctx)
    await availableUserId(ctx, query.username)
    return { available: true }
  },
})
