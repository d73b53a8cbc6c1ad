import { type Context, isLocal } from '../context.ts'
import { type Errcode } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { type CrossSigningKeys, crossSigningKeysOf, crossSigningKeysOfUsers } from '../storage/cross-signing.ts'
import { deviceKeysOfUsers } from '../storage/device-keys.ts'
import { type KeySignature, storeSignatures } from '../storage/key-signatures.ts'
import { crossSigningPublicKey, deviceSigningKey, isSameKey, isSignedBy, signaturesOf } from './key-objects.ts'
import { knownUsers } from './known-users.ts'
import { crossSigningKeyIn } from './query-keys.ts'
import { askServers, byServer } from './remote-keys.ts'

/** How many keys one request may sign. */
const keysLimit = 1_000

/** The failures of an upload: by user ID, then by the name of the key, an error code and a sentence. */
export type SignatureFailures = ReadonlyMap<string, ReadonlyMap<string, JsonObject>>

/** Signatures that hold, or why there are none. */
type Verdict =
  | {
      readonly ok: true
      readonly signatures: readonly Omit<KeySignature, 'targetNumber' | 'targetKey' | 'signerNumber'>[]
    }
  | { readonly ok: false; readonly errcode: Errcode; readonly error: string }

const refuse = (errcode: Errcode, error: string): Verdict => ({ ok: false, errcode, error })
const invalidSignature = refuse('M_INVALID_SIGNATURE', 'Invalid signature')
const unknownKey = refuse('M_NOT_FOUND', 'Unknown key')

/** The caller's own keys, and what they sign with. */
interface OwnKeys {
  readonly devices: ReadonlyMap<DeviceId, JsonObject>
  readonly crossSigning: CrossSigningKeys
}

/**
 * Publishes signatures that the caller's keys made: of their self-signing key over their devices, of their devices over
 * their master key, of their user-signing key over others' master keys. Each is stored only if it is one of those and
 * verifies over the key as this server, or the other user's, knows it. Returns what was refused.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
 */
export async function uploadSignatures(ctx: Context, caller: User, uploaded: JsonObject): Promise<SignatureFailures> {
  const failures = new Map<string, Map<string, JsonObject>>()
  const good: KeySignature[] = []
  const own = await ownKeys(ctx, caller)
  let count = 0
  const names = Object.keys(uploaded)
  const masterKeys = await masterKeysOf(ctx, caller, names)
  for (const name of names) {
    const keys = uploaded[name]
    const userId = parseUserId(name)
    for (const [keyName, key] of isJsonObject(keys) ? Object.entries(keys) : []) {
      const verdict = ++count > keysLimit ? refuse('M_LIMIT_EXCEEDED', 'Too many keys') : judge(userId, keyName, key)
      if (verdict.ok && userId !== null) {
        const targetNumber = await ctx.numbers.user(userId)
        good.push(...verdict.signatures.map(each => ({ ...each, targetNumber, targetKey: keyName, signerNumber: caller.userNumber }))) // prettier-ignore
      } else if (!verdict.ok) {
        const ofUser = failures.get(name) ?? new Map<string, JsonObject>()
        failures.set(name, ofUser.set(keyName, { errcode: verdict.errcode, error: verdict.error }))
      }
    }
  }
  if (good.length > 0) {
    await ctx.log.transact(async (tx, announce) => {
      await storeSignatures(tx, good)
      // The caller's other devices must hear of whom they have verified; nobody else is told which users those are.
      announce({ kind: 'device_list', userId: caller.userId })
    })
  }
  return failures

  function judge(userId: UserId | null, keyName: string, key: JsonValue): Verdict {
    if (userId === null) return refuse('M_INVALID_PARAM', 'Not a user ID')
    if (!isJsonObject(key)) return refuse('M_BAD_JSON', 'Not a key')
    if (userId === caller.userId) return judgeOwnKey(caller, own, keyName, key)
    return judgeMasterKey(caller, own, masterKeys.get(userId) ?? null, keyName, key)
  }
}

async function ownKeys(ctx: Context, caller: User): Promise<OwnKeys> {
  const [devices, crossSigning] = await Promise.all([
    deviceKeysOfUsers(ctx.db.kysely, ctx.numbers.sealer, [caller.userNumber]),
    crossSigningKeysOf(ctx.db.kysely, caller.userNumber),
  ])
  return { devices: new Map(devices.map(({ deviceId, keys }) => [deviceId, keys])), crossSigning }
}

/** The master keys of the other users named, asked of their servers where need be; users without one are left out. */
async function masterKeysOf(
  ctx: Context,
  caller: User,
  names: readonly string[],
): Promise<ReadonlyMap<UserId, JsonObject>> {
  const others = names.slice(0, keysLimit).flatMap(name => parseUserId(name) ?? []).filter(userId => userId !== caller.userId) // prettier-ignore
  const found = new Map<UserId, JsonObject>()
  const users = await knownUsers(
    ctx,
    others.filter(userId => isLocal(ctx, userId)),
  )
  for (const [userNumber, keys] of await crossSigningKeysOfUsers(ctx.db.kysely, [...users.keys()])) {
    const userId = users.get(userNumber)
    const master = keys.get('master')
    if (userId !== undefined && master) found.set(userId, master)
  }
  const asked = await askServers(ctx, byServer(ctx, others), null, (server, of) =>
    ctx.remote.queryKeys(server, { device_keys: Object.fromEntries(of.map(userId => [userId, []])) }),
  )
  for (const { users: of, answer } of asked.answers) {
    for (const userId of of) {
      const master = crossSigningKeyIn(answer.master_keys, userId)
      if (master) found.set(userId, master.key)
    }
  }
  return found
}

function judgeOwnKey(caller: User, own: OwnKeys, keyName: string, key: JsonObject): Verdict {
  const master = own.crossSigning.get('master')
  if (master && crossSigningPublicKey(master) === keyName) return judgeOwnMasterKey(caller, own, master, key)
  const deviceId = parseDeviceId(keyName)
  const device = deviceId === null ? undefined : own.devices.get(deviceId)
  const selfSigning = own.crossSigning.get('self_signing')
  const publicKey = selfSigning && crossSigningPublicKey(selfSigning)
  if (!device || !publicKey) return unknownKey
  return judgeSignature(caller, publicKey, device, key)
}

/** A signature by one cross-signing key of the caller's over a key that must be the known one. */
function judgeSignature(caller: User, publicKey: string, known: JsonObject, key: JsonObject): Verdict {
  const signerKeyId = `ed25519:${publicKey}`
  const signature = signaturesOf(key, caller.userId).get(signerKeyId)
  if (signature === undefined || !isSameKey(known, key)) return invalidSignature
  if (!isSignedBy(key, caller.userId, signerKeyId, publicKey)) return invalidSignature
  return { ok: true, signatures: [{ signerKeyId, signature }] }
}

/** Signatures by the caller's devices over their master key: one that is wrong, or of an unknown device, spoils them all. */
function judgeOwnMasterKey(caller: User, own: OwnKeys, master: JsonObject, key: JsonObject): Verdict {
  if (!isSameKey(master, key)) return invalidSignature
  const given = signaturesOf(key, caller.userId)
  if (given.size === 0) return invalidSignature
  // What the key was uploaded with may be of devices that are gone by now.
  const known = signaturesOf(master, caller.userId)
  const fresh = [...given].filter(([keyId, signature]) => known.get(keyId) !== signature)
  const signatures: { signerKeyId: string; signature: string }[] = []
  for (const [signerKeyId, signature] of fresh) {
    const deviceId = parseDeviceId(signerKeyId.replace(/^ed25519:/, ''))
    const device = deviceId === null || !signerKeyId.startsWith('ed25519:') ? undefined : own.devices.get(deviceId)
    const publicKey = device && deviceId !== null ? deviceSigningKey(device, deviceId) : null
    if (publicKey === null || !isSignedBy(key, caller.userId, signerKeyId, publicKey)) return invalidSignature
    signatures.push({ signerKeyId, signature })
  }
  return { ok: true, signatures }
}

/** The caller's user-signing key signs others' master keys and nothing else of theirs. */
function judgeMasterKey(
  caller: User,
  own: OwnKeys,
  master: JsonObject | null,
  keyName: string,
  key: JsonObject,
): Verdict {
  const userSigning = own.crossSigning.get('user_signing')
  const publicKey = userSigning && crossSigningPublicKey(userSigning)
  if (!publicKey || !master || crossSigningPublicKey(master) !== keyName) return unknownKey
  return judgeSignature(caller, publicKey, master, key)
}
