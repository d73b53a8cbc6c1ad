import { type Context } from '../../context.ts'
import { keyCounts } from '../../encryption/key-counts.ts'
import { type User } from '../../http/endpoint.ts'
import { type KeyCounts } from '../../storage/sync-keys.ts'

/**
 * `device_one_time_keys_count` and `device_unused_fallback_key_types` as members of a JSON object; '' without a device. At
 * once where the counts are remembered. `signed_curve25519` is always there: clients upload more when they are told of a zero.
 * https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 */
export function keyCountsText(ctx: Context, { userId, userNumber, deviceId }: User): string | Promise<string> {
  if (deviceId === null) return ''
  const counts = keyCounts(ctx, { userId, userNumber, deviceId })
  return counts instanceof Promise ? counts.then(textOf) : textOf(counts)
}

function textOf({ oneTime, unusedFallback }: KeyCounts): string {
  const counts = JSON.stringify({ signed_curve25519: 0, ...Object.fromEntries(oneTime) })
  return `"device_one_time_keys_count":${counts},"device_unused_fallback_key_types":${JSON.stringify(unusedFallback)}`
}
