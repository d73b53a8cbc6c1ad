import Type from 'typebox'
import { queryKeys, wantedDevices } from '../../../encryption/query-keys.ts'
import { schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery */
export const query = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/query',
  auth: 'guest',
  limit: 'keys',
  body: Type.Object({ device_keys: schemas.object, timeout: Type.Optional(Type.Integer({ minimum: 0 })) }),
  handle: async (ctx, { caller, body }) => {
    const found = await queryKeys(ctx, caller, wantedDevices(body.device_keys), body.timeout ?? null)
    return {
      failures: found.failures,
      device_keys: Object.fromEntries(found.deviceKeys),
      master_keys: Object.fromEntries(found.masterKeys),
      self_signing_keys: Object.fromEntries(found.selfSigningKeys),
      user_signing_keys: Object.fromEntries(found.userSigningKeys),
    }
  },
})
