import { isValidRegistrationToken, registrationFlows } from '../../../../accounts/registration.ts'
import { longString } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity */
export const registrationTokenValidity = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/register/m.login.registration_token/validity',
  auth: 'none',
  limit: 'registrationTokenCheck',
  query: { token: longString },
  handle: async (ctx, { query }) => {
    registrationFlows(ctx)
    return { valid: await isValidRegistrationToken(ctx, query.token) }
  },
})
