import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { canonicalJson, CanonicalJsonError } from './canonical-json.ts'
import { decodeBase64, encodeBase64 } from './hashes.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { redactPdu } from './redaction.ts'
import { type RoomVersion } from './room-versions.ts'

/** A key that signs for this server (or, in tests, for a device). The secret itself cannot be read from it. */
export interface SigningKey {
  /** `ed25519:` and the key's name. */
  readonly keyId: string
  /** 32 bytes in unpadded base64. */
  readonly publicKey: string
  /** The signature over the bytes, or over the text in UTF-8, in unpadded base64. */
  sign(message: Uint8Array | string): string
}

const seedLengthBytes = 32
const publicKeyLengthBytes = 32
const signatureLengthBytes = 64
/** What DER puts before the 32 bytes of an Ed25519 secret (PKCS #8) and of a public key (SPKI): RFC 8410. */
const secretKeyPrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const publicKeyPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * The signing key of a 32-byte seed. Throws `RangeError` for a seed of another length or a key ID that is not
 * `ed25519:` and one or more of `a-z A-Z 0-9 _`: both come from our own configuration, never from a request.
 */
export function signingKeyFromSeed(seed: Uint8Array, keyId: string): SigningKey {
  if (seed.length !== seedLengthBytes) throw new RangeError('an Ed25519 seed has 32 bytes')
  if (!/^ed25519:[A-Za-z0-9_]+$/.test(keyId)) throw new RangeError('a signing key ID is "ed25519:" and a name')
  const key = createPrivateKey({ key: Buffer.concat([secretKeyPrefix, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(publicKeyPrefix.length)
  return {
    keyId,
    publicKey: encodeBase64(publicKey),
    sign: message => encodeBase64(sign(null, bytesOf(message), key)),
  }
}

/**
 * True when the signature is that of the public key over the message; both keys and signatures are base64. Malformed
 * input is false. Device keys and cross-signing keys are verified with it too.
 */
export function verifyEd25519(publicKey: string, message: string | Uint8Array, signature: string): boolean {
  const key = publicKeyObject(publicKey)
  const signatureBytes = decodeBase64(signature)
  if (key === null || signatureBytes === null || signatureBytes.length !== signatureLengthBytes) return false
  return verify(null, bytesOf(message), key, signatureBytes)
}

/**
 * A copy of the object with the signature of `entity` added to `signatures`; neither that nor `unsigned` is signed.
 * Throws `CanonicalJsonError` for what has no canonical form. https://spec.matrix.org/v1.19/appendices/#signing-json
 */
export function signJson(object: JsonObject, entity: string, key: SigningKey): JsonObject {
  return addSignature(object, entity, key.keyId, key.sign(signedText(object)))
}

/**
 * True when the object carries a valid signature of `entity` under `keyId`, made with that public key. Never throws:
 * whatever is missing or malformed is false.
 * https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature
 */
export function verifyJson(object: JsonObject, entity: string, keyId: string, publicKey: string): boolean {
  const signature = signatureOf(object, entity, keyId)
  if (signature === null) return false
  try {
    return verifyEd25519(publicKey, signedText(object), signature)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false
    throw error
  }
}

/**
 * A copy of the event with our signature over its redacted form; its content hash must be there already.
 * Only `buildEvent` and the validators of invites and of restricted joins may call it: to sign what a stranger sent
 * unchecked is to speak in that stranger's favour.
 * https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 */
export function signEvent(pdu: JsonObject, serverName: string, key: SigningKey, version: RoomVersion): JsonObject {
  return addSignature(pdu, serverName, key.keyId, key.sign(signedText(redactPdu(pdu, version))))
}

/** True when the event carries a valid signature of the server under `keyId`, whether it is whole or redacted. Never throws. */
export function verifyEvent(
  pdu: JsonObject,
  serverName: string,
  keyId: string,
  publicKey: string,
  version: RoomVersion,
): boolean {
  return verifyJson(redactPdu(pdu, version), serverName, keyId, publicKey)
}

/** The IDs of the Ed25519 keys under which `entity` has signed the object, valid or not; keys of other kinds are left out. */
export function signingKeyIds(object: JsonObject, entity: string): string[] {
  const signatures = object['signatures']
  if (!isJsonObject(signatures) || !Object.hasOwn(signatures, entity)) return []
  const ofEntity = signatures[entity]
  if (!isJsonObject(ofEntity)) return []
  return Object.keys(ofEntity).filter(keyId => keyId.startsWith('ed25519:') && typeof ofEntity[keyId] === 'string')
}

function signatureOf(object: JsonObject, entity: string, keyId: string): string | null {
  const signatures = object['signatures']
  if (!isJsonObject(signatures) || !Object.hasOwn(signatures, entity)) return null
  const ofEntity = signatures[entity]
  if (!isJsonObject(ofEntity) || !Object.hasOwn(ofEntity, keyId)) return null
  const signature = ofEntity[keyId]
  return typeof signature === 'string' ? signature : null
}

function addSignature(object: JsonObject, entity: string, keyId: string, signature: string): JsonObject {
  const existing = object['signatures']
  const signatures = isJsonObject(existing) ? existing : {}
  const ofEntity = Object.hasOwn(signatures, entity) ? signatures[entity] : undefined
  // Spreading copies own keys one by one, and a computed key defines a property: `__proto__` stays an ordinary key.
  return {
    ...object,
    signatures: { ...signatures, [entity]: { ...(isJsonObject(ofEntity) ? ofEntity : {}), [keyId]: signature } },
  }
}

/** What is signed: all but `signatures` and `unsigned`. Lax, for a signed request may carry events of old rooms. */
function signedText(object: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = object
  return canonicalJson(signed, 'lax')
}

function bytesOf(message: Uint8Array | string): Uint8Array {
  return typeof message === 'string' ? Buffer.from(message, 'utf8') : message
}

/** Reading a key costs as much as verifying with it, and a server meets the same keys all day. */
const publicKeys = new Map<string, KeyObject>()
const publicKeysLimit = 10_000

/** `null` when the text is not 32 bytes of base64. */
function publicKeyObject(text: string): KeyObject | null {
  const known = publicKeys.get(text)
  if (known !== undefined) return known
  const bytes = decodeBase64(text)
  if (bytes === null || bytes.length !== publicKeyLengthBytes) return null
  const key = createPublicKey({ key: Buffer.concat([publicKeyPrefix, bytes]), format: 'der', type: 'spki' })
  if (publicKeys.size >= publicKeysLimit) {
    // A map keeps the order of insertion, so the first key is the oldest.
    for (const oldest of publicKeys.keys()) {
      publicKeys.delete(oldest)
      break
    }
  }
  publicKeys.set(text, key)
  return key
}
