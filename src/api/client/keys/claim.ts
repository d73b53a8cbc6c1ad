import Type from 'typebox'
import { claimOneTimeKeys, wantedKeys } from '../../../encryption/claim-keys.ts'
import { schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim */
export const claim = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/claim',
  auth: 'guest',
  limit: 'keys',
  body: Type.Object({ one_time_keys: schemas.object, timeout: Type.Optional(Type.Integer({ minimum: 0 })) }),
  handle: async (ctx, { body }) => {
    const claimed = await claimOneTimeKeys(ctx, wantedKeys(body.one_time_keys), body.timeout ?? null)
    return { one_time_keys: claimed.oneTimeKeys, failures: claimed.failures }
  },
})
