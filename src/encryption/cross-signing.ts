import { type Context } from '../context.ts'
import { badJson, forbidden, invalidParam, MatrixError, missingParam, tooLarge } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { canonicalJson } from '../protocol/canonical-json.ts'
import { parseDeviceId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import {
  type CrossSigningKeys, crossSigningKeysOf, type CrossSigningUsage, deleteCrossSigningKey, lockCrossSigning,
  storeCrossSigningKey,
} from '../storage/cross-signing.ts' // prettier-ignore
import { type Tx } from '../storage/database.ts'
import { deviceOf } from '../storage/devices.ts'
import { deleteSignaturesOfKey } from '../storage/key-signatures.ts'
import { crossSigningPublicKey, isSameKey, isSignedBy, keyLimitsBytes, without } from './key-objects.ts'

/** Cross-signing keys as a client uploads them; any may be absent. */
export type UploadedKeys = ReadonlyMap<CrossSigningUsage, JsonObject>

/**
 * Publishes the caller's cross-signing keys: all of them or none. The first ones may just be uploaded, and the same ones
 * again; whatever changes what is there needs `proof`, which is called in the transaction that writes, to use up the
 * authentication that was given. Without one, `'needs_authentication'` is returned and nothing is done.
 *
 * A new master key makes the keys worthless that the old one signed: they are removed unless new ones come with it, and so
 * are the signatures of and over keys that are replaced.
 *
 * Throws `missingParam` when there is no master key, `invalidParam` or `badJson` for a malformed key, M_INVALID_SIGNATURE
 * for one that the master key has not signed, and `forbidden` for a key that is named like a device.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
 */
export async function uploadCrossSigningKeys(
  ctx: Context,
  caller: User,
  uploaded: UploadedKeys,
  proof: ((tx: Tx) => Promise<void>) | null,
): Promise<'done' | 'needs_authentication'> {
  for (const [usage, key] of uploaded) checkKey(caller, usage, key)
  return ctx.log.transact(async (tx, announce) => {
    await lockCrossSigning(tx, caller.userNumber)
    const stored = await crossSigningKeysOf(tx, caller.userNumber)
    const changed = [...uploaded].filter(([usage, key]) => {
      const before = stored.get(usage)
      return before === undefined || !isSameKey(before, key)
    })
    checkChain(caller, uploaded, stored)
    if (changed.length === 0) return 'done'
    await checkNames(ctx, tx, caller, changed)
    if (stored.has('master')) {
      if (proof === null) return 'needs_authentication'
      await proof(tx)
    }
    for (const [usage, key] of changed) {
      await forgetKey(tx, caller, stored.get(usage))
      await storeCrossSigningKey(tx, caller.userNumber, usage, canonicalJson(onlyOwnSignatures(caller, key)))
    }
    if (changed.some(([usage]) => usage === 'master')) await removeOrphans(tx, caller, uploaded, stored)
    announce({ kind: 'device_list', userId: caller.userId })
    return 'done'
  })
}

/** Throws unless the key is the caller's, for this use, and well-formed. */
function checkKey(caller: User, usage: CrossSigningUsage, key: JsonObject): void {
  if (key.user_id !== caller.userId) throw invalidParam(`The ${usage} key is not that of the user who uploads`)
  if (!Array.isArray(key.usage) || !key.usage.includes(usage))
    throw invalidParam(`The ${usage} key is for another usage`)
  if (key.signatures !== undefined && !isJsonObject(key.signatures)) throw badJson('signatures must be an object')
  if (crossSigningPublicKey(key) === null) {
    throw invalidParam(`The ${usage} key must have one ed25519 key, named after itself`)
  }
  if (Buffer.byteLength(canonicalJson(key)) > keyLimitsBytes.crossSigningKey) throw tooLarge(`The ${usage} key is too large`) // prettier-ignore
}

/** Throws unless the keys that depend on the master key are signed by it: the one that comes with them, else the stored. */
function checkChain(caller: User, uploaded: UploadedKeys, stored: CrossSigningKeys): void {
  const master = uploaded.get('master') ?? stored.get('master')
  const masterKey = master && crossSigningPublicKey(master)
  if (!masterKey) throw missingParam('master_key')
  for (const usage of ['self_signing', 'user_signing'] as const) {
    const key = uploaded.get(usage)
    if (key && !isSignedBy(key, caller.userId, `ed25519:${masterKey}`, masterKey)) {
      throw new MatrixError('M_INVALID_SIGNATURE', `The ${usage} key is not signed by the master key`)
    }
  }
}

/** Device IDs and public keys share one namespace: neither may be named like the other. */
async function checkNames(
  ctx: Context,
  tx: Tx,
  caller: User,
  keys: readonly (readonly [CrossSigningUsage, JsonObject])[],
): Promise<void> {
  for (const [, key] of keys) {
    const deviceId = parseDeviceId(crossSigningPublicKey(key) ?? '')
    if (deviceId !== null && (await deviceOf(tx, ctx.numbers.sealer, caller.userNumber, deviceId)))
      throw forbidden('Key ID in use')
  }
}

/** Forgets the signatures of and over a key that is given up. */
async function forgetKey(tx: Tx, caller: User, key: JsonObject | undefined): Promise<void> {
  const publicKey = key && crossSigningPublicKey(key)
  if (publicKey) await deleteSignaturesOfKey(tx, caller.userNumber, publicKey)
}

/** Removes the keys that an old master key signed and for which the new one brought no successor. */
async function removeOrphans(tx: Tx, caller: User, uploaded: UploadedKeys, stored: CrossSigningKeys): Promise<void> {
  for (const usage of ['self_signing', 'user_signing'] as const) {
    if (uploaded.has(usage) || !stored.has(usage)) continue
    await forgetKey(tx, caller, stored.get(usage))
    await deleteCrossSigningKey(tx, caller.userNumber, usage)
  }
}

/** What others may have signed is told through their own uploads, to those who may know. */
function onlyOwnSignatures(caller: User, key: JsonObject): JsonObject {
  const { signatures } = key
  const own =
    isJsonObject(signatures) && Object.hasOwn(signatures, caller.userId) ? signatures[caller.userId] : undefined
  return {
    ...without(key, 'signatures', 'unsigned'),
    ...(isJsonObject(own) ? { signatures: { [caller.userId]: own } } : {}),
  }
}
