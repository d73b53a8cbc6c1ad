import { type Context } from '../context.ts'
import { badJson, invalidParam, MatrixError, missingParam, tooLarge, unknownToken } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { canonicalJson } from '../protocol/canonical-json.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { type Tx } from '../storage/database.ts'
import { deviceKeysOf, lockDevice, storeDeviceKeys } from '../storage/device-keys.ts'
import {
  countOneTimeKeys, deleteKeysToClaim, insertOneTimeKeys, type NamedKey, oneTimeKeysNamed, storeFallbackKeys, unclaimedAmong,
  unusedFallbackAlgorithms,
} from '../storage/one-time-keys.ts' // prettier-ignore
import { type Reader } from '../storage/database.ts'
import { changingKeys } from './key-counts.ts'
import {
  deviceSigningKey, isKeyName, isPublicKey, isSameKey, isSignedBy, keyLimitsBytes, signaturesOf, without,
} from './key-objects.ts' // prettier-ignore

/** How many unclaimed one-time keys a device may have; clients keep 50 to 100. */
export const oneTimeKeyLimit = 1_000
/** How many algorithms a device may have fallback keys for; clients use one. */
const fallbackKeyLimit = 16

/** What a device publishes at once; every part may be absent. */
export interface KeyUpload {
  readonly deviceKeys: JsonObject | null
  /** By `<algorithm>:<key ID>`. */
  readonly oneTimeKeys: JsonObject
  readonly fallbackKeys: JsonObject
}

/**
 * Publishes keys of the caller's own device: all of them or none. A one-time key that is there already is fine, and so is one
 * that was handed out, which does not come back; another key under its name is refused; a fallback key replaces the one before.
 * Everybody who shares a room with the user hears of new identity keys; the one-time and fallback keys of those before go. Returns
 * how many unclaimed one-time keys the device has then, by algorithm.
 *
 * A signature of the device must be right where there is one, and one-time keys of a signed kind must have it. Device keys
 * without any are taken: no client trusts them, so they harm nobody but their owner.
 *
 * Throws `missingParam` for a caller without a device, `badJson`, `invalidParam`, M_INVALID_SIGNATURE or `tooLarge` for what
 * is wrong with the keys, and `unknownToken` if the device was just deleted.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload
 */
export async function uploadKeys(ctx: Context, caller: User, upload: KeyUpload): Promise<ReadonlyMap<string, number>> {
  const { userNumber, deviceId } = caller
  if (deviceId === null) throw missingParam('device_id')
  const deviceKeys = upload.deviceKeys === null ? null : checkedDeviceKeys(caller, deviceId, upload.deviceKeys)
  const oneTimeKeys = namedKeys('one_time_keys', upload.oneTimeKeys)
  const fallbackKeys = namedKeys('fallback_keys', upload.fallbackKeys)
  if (oneTimeKeys.length > oneTimeKeyLimit) throw invalidParam('Too many one-time keys')
  if (fallbackKeys.length > fallbackKeyLimit) throw invalidParam('Too many fallback keys')
  if (new Set(fallbackKeys.map(key => key.algorithm)).size < fallbackKeys.length) {
    throw invalidParam('There can be one fallback key for each algorithm')
  }
  if (deviceKeys === null && oneTimeKeys.length + fallbackKeys.length === 0) {
    return oneTimeKeyCounts(ctx.db.kysely, userNumber, deviceId)
  }
  const signingKeys =
    deviceKeys ?? (await deviceKeysOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, deviceId))?.keys ?? null
  const signingKey = signingKeys && deviceSigningKey(signingKeys, deviceId)
  if (signingKey !== null)
    checkSignatures(caller, deviceId, signingKey, { ...upload.oneTimeKeys, ...upload.fallbackKeys })
  return changingKeys(ctx, note =>
    ctx.log.transact(async (tx, announce) => {
      if (!(await lockDevice(tx, userNumber, deviceId))) throw unknownToken()
      if (deviceKeys !== null) {
        const before = await deviceKeysOf(tx, ctx.numbers.sealer, userNumber, deviceId)
        const isChanged = await storeDeviceKeys(tx, userNumber, deviceId, canonicalJson(deviceKeys))
        if (isChanged) announce({ kind: 'device_list', userId: caller.userId })
        if (before && !isSameIdentity(before.keys, deviceKeys)) {
          await deleteKeysToClaim(tx, userNumber, deviceId)
          await note(tx, [caller.userId])
        }
      }
      await addOneTimeKeys(tx, userNumber, deviceId, oneTimeKeys)
      await storeFallbackKeys(tx, userNumber, deviceId, fallbackKeys)
      if (oneTimeKeys.length + fallbackKeys.length > 0) await note(tx, [caller.userId])
      const counts = await oneTimeKeyCounts(tx, userNumber, deviceId)
      if (sum(counts.values()) > oneTimeKeyLimit) throw invalidParam('The device has too many one-time keys')
      return counts
    }),
  )
}

/**
 * How many unclaimed one-time keys a device has, by algorithm. `signed_curve25519` is always there: clients upload more
 * when they are told of a zero. https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 */
export async function oneTimeKeyCounts(
  reader: Reader,
  userNumber: number,
  deviceId: DeviceId,
): Promise<ReadonlyMap<string, number>> {
  return new Map([['signed_curve25519', 0], ...(await countOneTimeKeys(reader, userNumber, deviceId))])
}

/** The algorithms for which a device has a fallback key that was not given to anybody yet. */
export function unusedFallbackKeyTypes(reader: Reader, userNumber: number, deviceId: DeviceId): Promise<string[]> {
  return unusedFallbackAlgorithms(reader, userNumber, deviceId)
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

/** False if somebody else goes on under the name of a device: what was encrypted with its other keys, nobody could read. */
function isSameIdentity(before: JsonObject, now: JsonObject): boolean {
  return isJsonObject(before.keys) && isJsonObject(now.keys) && canonicalJson(before.keys) === canonicalJson(now.keys)
}

const invalidSignature = (what: string) => new MatrixError('M_INVALID_SIGNATURE', `${what} has an invalid signature`)

/** The device keys without `unsigned`; throws for keys that are not the caller's device's, malformed or falsely signed. */
function checkedDeviceKeys(caller: User, deviceId: DeviceId, uploaded: JsonObject): JsonObject {
  const deviceKeys = without(uploaded, 'unsigned')
  if (deviceKeys.user_id !== caller.userId) throw invalidParam('device_keys.user_id is not the user who uploads')
  if (deviceKeys.device_id !== deviceId) throw invalidParam('device_keys.device_id is not the device that uploads')
  if (!isJsonObject(deviceKeys.keys)) throw badJson('device_keys.keys must be an object')
  for (const [name, key] of Object.entries(deviceKeys.keys)) {
    const algorithm = name.slice(0, Math.max(0, name.length - deviceId.length - 1))
    if (algorithm === '' || name !== `${algorithm}:${deviceId}`)
      throw invalidParam('A device key is not named after its device')
    if (typeof key !== 'string') throw badJson('A device key must be a string')
    if ((algorithm === 'ed25519' || algorithm === 'curve25519') && !isPublicKey(key)) {
      throw invalidParam(`The device's ${algorithm} key is not 32 bytes of base64`)
    }
  }
  if (Buffer.byteLength(canonicalJson(deviceKeys)) > keyLimitsBytes.deviceKeys) throw tooLarge('The device keys are too large') // prettier-ignore
  const keyId = `ed25519:${deviceId}`
  const signingKey = deviceSigningKey(deviceKeys, deviceId)
  if (signingKey === null) throw invalidParam('The device keys have no ed25519 key')
  if (signaturesOf(deviceKeys, caller.userId).has(keyId) && !isSignedBy(deviceKeys, caller.userId, keyId, signingKey)) {
    throw invalidSignature('device_keys')
  }
  return deviceKeys
}

/** Splits the names; throws for what is no key. */
function namedKeys(what: string, keys: JsonObject): NamedKey[] {
  return Object.entries(keys).map(([name, key]) => {
    const colon = name.indexOf(':')
    const algorithm = name.slice(0, Math.max(0, colon))
    const keyId = name.slice(colon + 1)
    if (!isKeyName(algorithm) || !isKeyName(keyId)) throw invalidParam(`A name in ${what} is not <algorithm>:<key ID>`)
    if (typeof key !== 'string' && !isJsonObject(key)) throw badJson(`A key in ${what} must be a string or an object`)
    if (isJsonObject(key) && typeof key.key !== 'string') throw badJson(`A key in ${what} has no key`)
    const text = canonicalJson(isJsonObject(key) ? without(key, 'unsigned') : key)
    if (Buffer.byteLength(text) > keyLimitsBytes.oneTimeKey) throw tooLarge('A key is too large')
    return { algorithm, keyId, key: text }
  })
}

/** Refuses keys of a signed kind that the device has not signed. https://spec.matrix.org/v1.19/client-server-api/#key-algorithms */
function checkSignatures(caller: User, deviceId: DeviceId, signingKey: string, keys: JsonObject): void {
  for (const [name, key] of Object.entries(keys)) {
    if (!name.startsWith('signed_')) continue
    if (!isJsonObject(key) || !isSignedBy(key, caller.userId, `ed25519:${deviceId}`, signingKey)) {
      throw invalidSignature('A one-time key')
    }
  }
}

/** Adds those keys that are new; throws if a name stands for another key already. */
async function addOneTimeKeys(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  keys: readonly NamedKey[],
): Promise<void> {
  if (keys.length === 0) return
  const stored = await oneTimeKeysNamed(tx, userNumber, deviceId, keys)
  const held = new Map(stored.map(key => [`${key.algorithm}:${key.keyId}`, key.key]))
  const added: NamedKey[] = []
  for (const key of keys) {
    const before = held.get(`${key.algorithm}:${key.keyId}`)
    if (before === undefined) added.push(key)
    else if (!isSameOneTimeKey(before, key.key)) throw invalidParam('A one-time key of that name exists already')
  }
  // A key that somebody has got is not put back by the upload that brought it and is repeated.
  await insertOneTimeKeys(tx, userNumber, deviceId, await unclaimedAmong(tx, userNumber, deviceId, added))
}

/** Signatures may differ: a client may sign the same key again. */
function isSameOneTimeKey(left: string, right: string): boolean {
  if (left === right) return true
  const [leftKey, rightKey] = [valueOf(left), valueOf(right)]
  return isJsonObject(leftKey) && isJsonObject(rightKey) && isSameKey(leftKey, rightKey)
}

function valueOf(text: string): JsonValue {
  const parsed = parseJson(text)
  return parsed.ok ? parsed.value : null
}
