import Type from 'typebox'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../../../accounts/interactive-auth.ts'
import { type UploadedKeys, uploadCrossSigningKeys } from '../../../../encryption/cross-signing.ts'
import { schemas } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'
import { type JsonObject } from '../../../../protocol/json.ts'

const crossSigningKey = Type.Object({
  user_id: Type.String(),
  usage: Type.Array(Type.String()),
  keys: Type.Record(Type.String(), Type.String()),
  signatures: Type.Optional(Type.Record(Type.String(), Type.Record(Type.String(), Type.String()))),
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload */
export const uploadCrossSigning = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/device_signing/upload',
  aliases: ['/_matrix/client/unstable/keys/device_signing/upload'],
  auth: 'user',
  limit: 'keys',
  canonicalBody: true,
  body: Type.Object({
    auth: Type.Optional(schemas.object),
    master_key: Type.Optional(crossSigningKey),
    self_signing_key: Type.Optional(crossSigningKey),
    user_signing_key: Type.Optional(crossSigningKey),
  }),
  handle: async (ctx, { caller, body, addressKey }) => {
    const keys: UploadedKeys = new Map([
      ...present('master', body.master_key),
      ...present('self_signing', body.self_signing_key),
      ...present('user_signing', body.user_signing_key),
    ])
    // An appservice has nobody who could type a password; it acts without an access token of a session.
    const isAppservice = caller.tokenHash === null
    const outcome = await uploadCrossSigningKeys(ctx, caller, keys, isAppservice ? () => Promise.resolve() : null)
    if (outcome === 'done') return {}
    const operation = 'POST /keys/device_signing/upload'
    const proof = await requireInteractiveAuth(ctx, { operation, user: caller, body, flows: passwordFlows, addressKey })
    await uploadCrossSigningKeys(ctx, caller, keys, tx => useProof(ctx, tx, proof))
    return {}
  },
})

function present<Usage extends string>(usage: Usage, key: JsonObject | undefined): [Usage, JsonObject][] {
  return key === undefined ? [] : [[usage, key]]
}
