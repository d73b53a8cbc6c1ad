import { endpoint } from '../../../http/endpoint.ts'

/** How long messages live by the settings: where a room does not say, and what a room may ask for. Milliseconds. */
export const getRetention = endpoint({
  method: 'GET',
  path: '/_lethe/admin/v1/retention',
  auth: 'admin',
  limit: 'light',
  handle: ctx => {
    const { default: byDefault, limits, rooms, sweepInterval } = ctx.config.retention
    const policy = (each: { readonly maxLifetime: number | null; readonly minLifetime: number | null }) => ({
      max_lifetime: each.maxLifetime,
      min_lifetime: each.minLifetime,
    })
    const range = ({ min, max }: { readonly min: number | null; readonly max: number | null }) => ({ min, max })
    return {
      default: policy(byDefault),
      limits: { max_lifetime: range(limits.maxLifetime), min_lifetime: range(limits.minLifetime) },
      rooms: Object.fromEntries(Object.entries(rooms).map(([roomId, each]) => [roomId, policy(each)])),
      sweep_interval: sweepInterval,
    }
  },
})
