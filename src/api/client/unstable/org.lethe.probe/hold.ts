import { hold } from '../../../../admin/probes.ts'
import { integer, string } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** Answers after `timeout` milliseconds, as /sync may: "lethe doctor" sees whether anything between gives up before. */
export const probeHold = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/org.lethe.probe/:secret/hold',
  auth: 'none',
  limit: 'anonymous',
  params: { secret: string },
  query: { timeout: integer({ min: 0, max: 600_000 }) },
  handle: async (ctx, { params, query, end }) => {
    await hold(ctx, params.secret, query.timeout, end)
    return { held: true }
  },
})
