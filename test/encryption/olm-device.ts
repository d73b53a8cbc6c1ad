import Olm from '@matrix-org/olm'
import { canonicalJson } from '../../src/protocol/canonical-json.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'

await Olm.init()

/** The cryptographic half of a client's device: real keys, made and signed by libolm. */
export class OlmDevice {
  readonly userId: string
  readonly deviceId: string
  readonly account = new Olm.Account()

  constructor(person: { readonly userId: string; readonly deviceId: string }) {
    this.userId = person.userId
    this.deviceId = person.deviceId
    this.account.create()
  }

  get identityKeys(): { readonly curve25519: string; readonly ed25519: string } {
    // libolm's own format.
    return JSON.parse(this.account.identity_keys()) as { curve25519: string; ed25519: string }
  }

  /** Adds this device's signature to an object. */
  sign(object: JsonObject): JsonObject {
    const { signatures, unsigned: _unsigned, ...signed } = object
    return addSignature(
      object,
      signatures,
      this.userId,
      `ed25519:${this.deviceId}`,
      this.account.sign(canonicalJson(signed)),
    )
  }

  /** What `/keys/upload` takes as `device_keys`. */
  deviceKeys(): JsonObject {
    const { curve25519, ed25519 } = this.identityKeys
    return this.sign({
      user_id: this.userId,
      device_id: this.deviceId,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: { [`curve25519:${this.deviceId}`]: curve25519, [`ed25519:${this.deviceId}`]: ed25519 },
    })
  }

  /** New signed one-time keys, at most 100, by key ID. */
  oneTimeKeys(count: number): Record<string, JsonObject> {
    this.account.generate_one_time_keys(count)
    const { curve25519 } = JSON.parse(this.account.one_time_keys()) as { curve25519: Record<string, string> }
    this.account.mark_keys_as_published()
    return Object.fromEntries(
      Object.entries(curve25519).map(([id, key]) => [`signed_curve25519:${id}`, this.sign({ key })]),
    )
  }

  /** A new signed fallback key, by key ID. */
  fallbackKey(): Record<string, JsonObject> {
    this.account.generate_fallback_key()
    const { curve25519 } = JSON.parse(this.account.unpublished_fallback_key()) as { curve25519: Record<string, string> }
    this.account.mark_keys_as_published()
    return Object.fromEntries(
      Object.entries(curve25519).map(([id, key]) => [`signed_curve25519:${id}`, this.sign({ key, fallback: true })]),
    )
  }
}

/** A cross-signing key with its secret. */
export class CrossSigningKey {
  readonly #signing = new Olm.PkSigning()
  readonly userId: string
  readonly usage: 'master' | 'self_signing' | 'user_signing'
  readonly publicKey: string

  constructor(userId: string, usage: CrossSigningKey['usage']) {
    this.userId = userId
    this.usage = usage
    this.publicKey = this.#signing.init_with_seed(this.#signing.generate_seed())
  }

  /** The public half, unsigned. */
  get key(): JsonObject {
    return { user_id: this.userId, usage: [this.usage], keys: { [`ed25519:${this.publicKey}`]: this.publicKey } }
  }

  /** Adds this key's signature to an object. */
  sign(object: JsonObject): JsonObject {
    const { signatures, unsigned: _unsigned, ...signed } = object
    return addSignature(
      object,
      signatures,
      this.userId,
      `ed25519:${this.publicKey}`,
      this.#signing.sign(canonicalJson(signed)),
    )
  }
}

/** A user's three cross-signing keys. */
export class CrossSigningIdentity {
  readonly master: CrossSigningKey
  readonly selfSigning: CrossSigningKey
  readonly userSigning: CrossSigningKey

  constructor(userId: string) {
    this.master = new CrossSigningKey(userId, 'master')
    this.selfSigning = new CrossSigningKey(userId, 'self_signing')
    this.userSigning = new CrossSigningKey(userId, 'user_signing')
  }

  /** What `/keys/device_signing/upload` takes. */
  upload(): Record<'master_key' | 'self_signing_key' | 'user_signing_key', JsonObject> {
    return {
      master_key: this.master.key,
      self_signing_key: this.master.sign(this.selfSigning.key),
      user_signing_key: this.master.sign(this.userSigning.key),
    }
  }
}

function addSignature(
  object: JsonObject,
  signatures: JsonObject[string] | undefined,
  userId: string,
  keyId: string,
  signature: string,
): JsonObject {
  const all = isJsonObject(signatures) ? signatures : {}
  const own = all[userId]
  return { ...object, signatures: { ...all, [userId]: { ...(isJsonObject(own) ? own : {}), [keyId]: signature } } }
}
