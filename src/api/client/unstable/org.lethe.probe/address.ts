import { checkProbe } from '../../../../admin/probes.ts'
import { string } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/**
 * What stands for the caller's address in rate limits, which is another one each day and says nothing of the address: "lethe
 * doctor" sees whether it can be made another by a header of its own.
 */
export const probeAddress = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/org.lethe.probe/:secret/address',
  auth: 'none',
  limit: 'anonymous',
  params: { secret: string },
  handle: async (ctx, { params, addressKey }) => {
    await checkProbe(ctx, params.secret)
    return { key: addressKey }
  },
})
