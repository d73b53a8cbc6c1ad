import { uploadSignatures } from '../../../../encryption/key-signatures.ts'
import { schemas } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload */
export const uploadKeySignatures = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/signatures/upload',
  aliases: ['/_matrix/client/unstable/keys/signatures/upload'],
  auth: 'user',
  limit: 'keys',
  canonicalBody: true,
  body: schemas.object,
  handle: async (ctx, { caller, body }) => {
    const failures = await uploadSignatures(ctx, caller, body)
    return { failures: Object.fromEntries([...failures].map(([user, keys]) => [user, Object.fromEntries(keys)])) }
  },
})
