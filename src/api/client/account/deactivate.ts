import Type from 'typebox'
import { passwordFlows, requireInteractiveAuth, useProof } from '../../../accounts/interactive-auth.ts'
import { requireUser } from '../../../accounts/operations.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { deactivate } from '../../../privacy/deactivate.ts'
import { eraseAccount } from '../../../privacy/erase.ts'
import { receiptAddress } from '../../pages/receipt.ts'

/**
 * With `erase` everything that the account sent is erased too; the answer then says in `org.lethe.receipt` where a receipt
 * of that can be fetched, once. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
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
    // There are no third-party identifiers here, so there is none to unbind.
    const answer = { id_server_unbind_result: 'success' }
    if (body.erase !== true) {
      await deactivate(ctx, user, false, tx => useProof(ctx, tx, proof))
      return answer
    }
    const token = await eraseAccount(ctx, user, tx => useProof(ctx, tx, proof))
    return token === null ? answer : { ...answer, 'org.lethe.receipt': receiptAddress(ctx, token) }
  },
})
