import { type DeviceId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'

/** A device whose keys are counted. */
export interface CountedDevice {
  readonly userNumber: number
  readonly deviceId: DeviceId
}

/** What a device has left to give to others. */
export interface KeyCounts {
  /** Unclaimed one-time keys by algorithm; algorithms without any are left out. */
  readonly oneTime: ReadonlyMap<string, number>
  /** The algorithms of fallback keys that were given to nobody yet. */
  readonly unusedFallback: readonly string[]
}

const counts = statement<
  [readonly number[], readonly string[]],
  { place: number; algorithm: string; count: number | null }
>(
  'sync_key_counts',
  `WITH w AS (SELECT * FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS w (user_number, device_id, place))
   SELECT w.place, k.algorithm, count(*) AS count FROM w JOIN one_time_keys k USING (user_number, device_id)
   GROUP BY w.place, k.algorithm
   UNION ALL
   SELECT w.place, f.algorithm, NULL FROM w JOIN fallback_keys f USING (user_number, device_id) WHERE NOT f.is_used`,
)

/** The counts of each device, in the order of the devices. */
export async function keyCountsOf(reader: Reader, devices: readonly CountedDevice[]): Promise<KeyCounts[]> {
  const rows = await counts.run(reader, [
    devices.map(device => device.userNumber),
    devices.map(device => device.deviceId),
  ])
  const found = devices.map(() => ({ oneTime: new Map<string, number>(), unusedFallback: [] as string[] }))
  for (const { place, algorithm, count } of rows) {
    const device = found[place - 1]
    if (count === null) device?.unusedFallback.push(algorithm)
    else device?.oneTime.set(algorithm, count)
  }
  return found
}
