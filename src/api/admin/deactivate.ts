import Type from 'typebox'
import { localAccount } from '../../admin/local-account.ts'
import { userId } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { deactivate } from '../../privacy/deactivate.ts'
import { eraseAccount } from '../../privacy/erase.ts'
import { receiptAddress } from '../pages/receipt.ts'

/**
 * With `erase` everything that the account sent is erased too; the answer then says in `org.lethe.receipt` where a receipt of
 * that can be fetched, once: it is the erased person's. https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#deactivate-account
 */
export const postDeactivate = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/deactivate/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({ erase: Type.Optional(Type.Boolean()) }),
  handle: async (ctx, { params, body }) => {
    const account = await localAccount(ctx, params.userId)
    // There are no third-party identifiers here, so there is none to unbind.
    const answer = { id_server_unbind_result: 'success' }
    if (body.erase !== true) {
      await deactivate(ctx, account, false)
      return answer
    }
    const token = await eraseAccount(ctx, account)
    return token === null ? answer : { ...answer, 'org.lethe.receipt': receiptAddress(ctx, token) }
  },
})
