import Type from 'typebox'
import { uploadKeys } from '../../../encryption/upload-keys.ts'
import { schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

const deviceKeys = Type.Object({
  user_id: Type.String(),
  device_id: Type.String(),
  algorithms: Type.Array(Type.String()),
  keys: Type.Record(Type.String(), Type.String()),
  signatures: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload */
export const upload = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/upload',
  auth: 'guest',
  limit: 'keys',
  // What is signed has a canonical form.
  canonicalBody: true,
  body: Type.Object({
    device_keys: Type.Optional(deviceKeys),
    one_time_keys: Type.Optional(schemas.object),
    fallback_keys: Type.Optional(schemas.object),
  }),
  handle: async (ctx, { caller, body }) => {
    const counts = await uploadKeys(ctx, caller, {
      deviceKeys: body.device_keys ?? null,
      oneTimeKeys: body.one_time_keys ?? {},
      fallbackKeys: body.fallback_keys ?? {},
    })
    return { one_time_key_counts: Object.fromEntries(counts) }
  },
})
