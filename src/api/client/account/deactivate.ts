import Type from 'typebox'
import { deactivate } from '../../../accounts/account.ts'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../../accounts/interactive-auth.ts'
import { requireUser } from '../../../accounts/operations.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate */
export const accountDeactivate = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/deactivate',
  auth: 'optional',
  limit: 'light',
  body: Type.Object({ erase: Type.Optional(Type.Boolean()) }),
  handle: async (ctx, { caller, body, addressKey }) => {
    const user = requireUser(caller)
    const operation = 'POST /account/deactivate'
    const proof = await requireInteractiveAuth(ctx, { operation, user, body, flows: passwordFlows, addressKey })
    await deactivate(ctx, user, body.erase === true, tx => useProof(ctx, tx, proof))
    // There are no third-party identifiers here, so there is none to unbind.
    return { id_server_unbind_result: 'success' }
  },
})
