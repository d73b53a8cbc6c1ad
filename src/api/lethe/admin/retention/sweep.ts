import { orderSweep, sweepOrderStatus } from '../../../../admin/sweep-now.ts'
import { string } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

const path = '/_lethe/admin/v1/retention/sweep'

/** Sweeps now, in the background; the answer says under which ID to ask for it. */
export const postSweep = endpoint({
  method: 'POST',
  path,
  auth: 'admin',
  limit: 'heavy',
  handle: async (ctx, { caller }) => ({ sweep_id: await orderSweep(ctx, caller) }),
})

/** How an ordered sweep stands. */
export const getSweep = endpoint({
  method: 'GET',
  path: `${path}/:sweepId`,
  auth: 'admin',
  limit: 'light',
  params: { sweepId: string },
  handle: (ctx, { params }) => sweepOrderStatus(ctx, params.sweepId),
})
