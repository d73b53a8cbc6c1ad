import { sql } from 'kysely'
import { type DeviceId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonValue } from '../protocol/json.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { rememberedAmong, rememberRequests, requestHash } from './transactions.ts'

/** A one-time or fallback key. What other places call its key ID is `<algorithm>:<keyId>`. */
export interface NamedKey {
  readonly algorithm: string
  readonly keyId: string
  /** Canonical JSON of the key: a string or an object. */
  readonly key: string
}

const stored = statement<[number, string, readonly string[], readonly string[]], { algorithm: string; key_id: string; key: string }>(
  'one_time_keys_stored',
  `SELECT k.algorithm, k.key_id, k.key FROM one_time_keys k
   JOIN unnest($3::text[], $4::text[]) AS wanted (algorithm, key_id) USING (algorithm, key_id)
   WHERE k.user_number = $1 AND k.device_id = $2`,
) // prettier-ignore

/** Those of a device's unclaimed one-time keys that have one of the names. */
export async function oneTimeKeysNamed(
  reader: Reader,
  userNumber: number,
  deviceId: DeviceId,
  names: readonly { readonly algorithm: string; readonly keyId: string }[],
): Promise<NamedKey[]> {
  const rows = await stored.run(reader, [userNumber, deviceId, names.map(name => name.algorithm), names.map(name => name.keyId)]) // prettier-ignore
  return rows.map(row => ({ algorithm: row.algorithm, keyId: row.key_id, key: row.key }))
}

/** Deletes what could be claimed of a device. The device must be locked. */
export async function deleteKeysToClaim(tx: Tx, userNumber: number, deviceId: DeviceId): Promise<void> {
  for (const table of ['one_time_keys', 'fallback_keys'] as const) {
    await tx.deleteFrom(table).where('user_number', '=', userNumber).where('device_id', '=', deviceId).execute()
  }
}

/** Adds one-time keys behind those that are there, in their order. The device must be locked, and their names be free. */
export async function insertOneTimeKeys(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  keys: readonly NamedKey[],
): Promise<void> {
  if (keys.length === 0) return
  await sql`
    INSERT INTO one_time_keys (user_number, device_id, algorithm, key_id, key)
    SELECT ${userNumber}::integer, ${deviceId}, algorithm, key_id, key
    FROM unnest(${keys.map(key => key.algorithm)}::text[], ${keys.map(key => key.keyId)}::text[],
      ${keys.map(key => key.key)}::text[]) WITH ORDINALITY AS new (algorithm, key_id, key, place)
    ORDER BY place`.execute(tx)
}

/**
 * Those of the keys that were not handed out lately. A client that had no answer to its upload uploads the same again, and
 * meanwhile somebody may have got one of the keys. Ask after `oneTimeKeysNamed`: between the two a key can only be handed out.
 */
export async function unclaimedAmong(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  keys: readonly NamedKey[],
): Promise<NamedKey[]> {
  const claimed = await rememberedAmong(tx, keys.map(key => claimHash(userNumber, deviceId, key))) // prettier-ignore
  return claimed.size === 0
    ? [...keys]
    : keys.filter(key => !claimed.has(claimHash(userNumber, deviceId, key).toString('hex')))
}

/** Under what it is remembered that a key was handed out: its name and the key itself, whatever the signatures. */
function claimHash(userNumber: number, deviceId: string, { algorithm, keyId, key }: NamedKey): Buffer {
  const parsed = parseJson(key)
  const value = parsed.ok && isJsonObject(parsed.value) ? JSON.stringify(parsed.value['key']) : key
  return requestHash(['one_time_key', String(userNumber), deviceId, algorithm, keyId, value])
}

/** Sets the fallback keys of their algorithms. One that replaces another is unused; the same one again changes nothing. */
export async function storeFallbackKeys(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  keys: readonly NamedKey[],
): Promise<void> {
  if (keys.length === 0) return
  await sql`
    INSERT INTO fallback_keys (user_number, device_id, algorithm, key_id, key)
    SELECT ${userNumber}::integer, ${deviceId}, algorithm, key_id, key
    FROM unnest(${keys.map(key => key.algorithm)}::text[], ${keys.map(key => key.keyId)}::text[],
      ${keys.map(key => key.key)}::text[]) AS new (algorithm, key_id, key)
    ON CONFLICT (user_number, device_id, algorithm)
    DO UPDATE SET key_id = excluded.key_id, key = excluded.key, is_used = false
    WHERE (fallback_keys.key_id, fallback_keys.key) <> (excluded.key_id, excluded.key)`.execute(tx)
}

const counts = statement<[number, string], { algorithm: string; count: number }>(
  'one_time_keys_counts',
  `SELECT algorithm, count(*) AS count FROM one_time_keys WHERE user_number = $1 AND device_id = $2 GROUP BY algorithm`,
)

/** How many unclaimed one-time keys a device has, by algorithm; algorithms without any are left out. */
export async function countOneTimeKeys(
  reader: Reader,
  userNumber: number,
  deviceId: DeviceId,
): Promise<ReadonlyMap<string, number>> {
  const rows = await counts.run(reader, [userNumber, deviceId])
  return new Map(rows.map(row => [row.algorithm, row.count]))
}

const unusedFallback = statement<[number, string], { algorithm: string }>(
  'fallback_keys_unused',
  'SELECT algorithm FROM fallback_keys WHERE user_number = $1 AND device_id = $2 AND NOT is_used ORDER BY algorithm',
)

/** The algorithms for which a device has a fallback key that was not given to anybody yet. */
export async function unusedFallbackAlgorithms(
  reader: Reader,
  userNumber: number,
  deviceId: DeviceId,
): Promise<string[]> {
  return (await unusedFallback.run(reader, [userNumber, deviceId])).map(row => row.algorithm)
}

/** A wish for one key of a device. */
export interface KeyClaim {
  readonly userNumber: number
  readonly deviceId: DeviceId
  readonly algorithm: string
}

/** A key that was given out: `<algorithm>:<key ID>` and what the device uploaded under it. */
export interface ClaimedKey {
  readonly userNumber: number
  readonly deviceId: DeviceId
  readonly keyId: string
  readonly key: JsonValue
}

interface ClaimRow {
  user_number: number
  device_id: string
  algorithm: string
  key_id: string
  key: string
}

/**
 * Takes the oldest one-time key for each claim; claims that find none get the fallback key, which counts as used from now
 * on. Claims that find neither are left out. A one-time key is gone when the transaction commits, so it may be told to
 * nobody before: of two claimers at once each gets another key, and neither waits. That it was given out is remembered for as
 * long as its upload may be repeated.
 */
export async function claimKeys(tx: Tx, claims: readonly KeyClaim[]): Promise<ClaimedKey[]> {
  if (claims.length === 0) return []
  const wanted = (left: readonly KeyClaim[]) => sql`unnest(${left.map(claim => claim.userNumber)}::integer[],
    ${left.map(claim => claim.deviceId)}::text[], ${left.map(claim => claim.algorithm)}::text[])`
  const oneTime = await sql<ClaimRow>`
    WITH picked AS (
      SELECT oldest.* FROM ${wanted(claims)} AS wanted (usr, device, alg) CROSS JOIN LATERAL (
        SELECT user_number, device_id, algorithm, key_id FROM one_time_keys
        WHERE user_number = usr AND device_id = device AND algorithm = alg
        ORDER BY key_number LIMIT 1 FOR UPDATE SKIP LOCKED) AS oldest)
    DELETE FROM one_time_keys USING picked
    WHERE one_time_keys.user_number = picked.user_number AND one_time_keys.device_id = picked.device_id
      AND one_time_keys.algorithm = picked.algorithm AND one_time_keys.key_id = picked.key_id
    RETURNING one_time_keys.user_number, one_time_keys.device_id, one_time_keys.algorithm, one_time_keys.key_id,
      one_time_keys.key`.execute(tx)
  await rememberRequests(
    tx,
    oneTime.rows.map(row => claimHash(row.user_number, row.device_id, { algorithm: row.algorithm, keyId: row.key_id, key: row.key })), // prettier-ignore
  )
  const name = (userNumber: number, deviceId: string, algorithm: string) => JSON.stringify([userNumber, deviceId, algorithm]) // prettier-ignore
  const found = new Set(oneTime.rows.map(row => name(row.user_number, row.device_id, row.algorithm)))
  const left = claims.filter(claim => !found.has(name(claim.userNumber, claim.deviceId, claim.algorithm)))
  if (left.length === 0) return oneTime.rows.flatMap(claimedKey)
  const fallback = await sql<ClaimRow>`
    WITH held AS (
      SELECT user_number, device_id, algorithm, key_id, key, is_used FROM fallback_keys
      JOIN ${wanted(left)} AS wanted (usr, device, alg) ON user_number = usr AND device_id = device AND algorithm = alg
      ORDER BY user_number, device_id, algorithm FOR UPDATE OF fallback_keys),
    marked AS (
      UPDATE fallback_keys SET is_used = true FROM held
      WHERE NOT held.is_used AND fallback_keys.user_number = held.user_number
        AND fallback_keys.device_id = held.device_id AND fallback_keys.algorithm = held.algorithm)
    SELECT user_number, device_id, algorithm, key_id, key FROM held`.execute(tx)
  return [...oneTime.rows, ...fallback.rows].flatMap(claimedKey)
}

function claimedKey(row: ClaimRow): ClaimedKey[] {
  const parsed = parseJson(row.key)
  if (!parsed.ok) return []
  // The column holds nothing but device IDs that were parsed before they were inserted.
  const deviceId = row.device_id as DeviceId
  return [{ userNumber: row.user_number, deviceId, keyId: `${row.algorithm}:${row.key_id}`, key: parsed.value }]
}
