import { type DeviceId, parseDeviceId, type UserId } from '../protocol/identifiers.ts'
import { canonicalJson } from '../protocol/canonical-json.ts'
import { decodeBase64 } from '../protocol/hashes.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { verifyJson } from '../protocol/signatures.ts'

/** Limits on what may be uploaded, in bytes of canonical JSON. Real keys take some hundred bytes. */
export const keyLimitsBytes = { oneTimeKey: 8 * 1024, deviceKeys: 32 * 1024, crossSigningKey: 16 * 1024 } as const

const publicKeyLengthBytes = 32

/** True for the name of a key, an algorithm or a session: 1 to 255 bytes of well-formed text without NUL. */
export function isKeyName(text: string): boolean {
  return parseDeviceId(text) !== null
}

/** True for 32 bytes of base64: the public keys of Ed25519 and Curve25519. */
export function isPublicKey(text: string): boolean {
  return decodeBase64(text)?.length === publicKeyLengthBytes
}

/** The object without one or more of its own keys. */
export function without(object: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}

/**
 * True if two keys are the same but for their signatures: what a client signs must be the key that the server has.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
 */
export function isSameKey(left: JsonObject, right: JsonObject): boolean {
  const bare = (key: JsonObject) => canonicalJson(without(key, 'signatures', 'unsigned'), 'lax')
  return bare(left) === bare(right)
}

/** The signatures that `signer` put on a key, by key ID; what is not text is left out. */
export function signaturesOf(key: JsonObject, signer: UserId): ReadonlyMap<string, string> {
  const signatures = key.signatures
  const ofSigner = isJsonObject(signatures) && Object.hasOwn(signatures, signer) ? signatures[signer] : undefined
  if (!isJsonObject(ofSigner)) return new Map()
  return new Map(Object.entries(ofSigner).flatMap(([id, signature]) => (typeof signature === 'string' ? [[id, signature]] : []))) // prettier-ignore
}

/** The device's Ed25519 key, in base64; `null` if its keys have none. */
export function deviceSigningKey(deviceKeys: JsonObject, deviceId: DeviceId): string | null {
  const keys = deviceKeys.keys
  const name = `ed25519:${deviceId}`
  const key = isJsonObject(keys) && Object.hasOwn(keys, name) ? keys[name] : undefined
  return typeof key === 'string' ? key : null
}

/**
 * The public key of a cross-signing key, in unpadded base64; `null` unless it has exactly one, an Ed25519 key whose name is
 * the key itself.
 */
export function crossSigningPublicKey(key: JsonObject): string | null {
  if (!isJsonObject(key.keys)) return null
  const [entry, ...others] = Object.entries(key.keys)
  if (!entry || others.length > 0) return null
  const [name, value] = entry
  if (typeof value !== 'string' || name !== `ed25519:${value}` || value.includes('=') || !isPublicKey(value))
    return null
  return value
}

/** True if the key carries a valid signature of the user's by the named public key. */
export function isSignedBy(key: JsonObject, signer: UserId, keyId: string, publicKey: string): boolean {
  return verifyJson(key, signer, keyId, publicKey)
}

/** A copy of the key with one more signature; what it is signed with already stays. */
export function withSignature(key: JsonObject, signer: UserId, keyId: string, signature: string): JsonObject {
  const signatures = isJsonObject(key.signatures) ? key.signatures : {}
  const ofSigner = Object.hasOwn(signatures, signer) ? signatures[signer] : undefined
  // Spreading copies own keys, and a computed key defines a property: `__proto__` stays an ordinary key.
  return {
    ...key,
    signatures: { ...signatures, [signer]: { ...(isJsonObject(ofSigner) ? ofSigner : {}), [keyId]: signature } },
  }
}
