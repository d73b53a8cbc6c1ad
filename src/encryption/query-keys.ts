import { type Context, isLocal } from '../context.ts'
import { badJson, invalidParam } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { type CrossSigningKeys, crossSigningKeysOfUsers, type CrossSigningUsage } from '../storage/cross-signing.ts'
import { deviceKeysOfUsers } from '../storage/device-keys.ts'
import { type KeySignature, visibleSignatures } from '../storage/key-signatures.ts'
import { crossSigningPublicKey, withSignature } from './key-objects.ts'
import { knownUsers } from './known-users.ts'
import { askServers, byServer, type ServerAnswer } from './remote-keys.ts'

/** Which devices' keys are wanted; an empty list means all of the user's. */
export type WantedDevices = ReadonlyMap<UserId, readonly DeviceId[]>

/** Keys by user ID, as both APIs answer them. */
export interface FoundKeys {
  /** By user, then by device. */
  readonly deviceKeys: Map<string, JsonObject>
  readonly masterKeys: Map<string, JsonObject>
  readonly selfSigningKeys: Map<string, JsonObject>
  /** The viewer's own alone. */
  readonly userSigningKeys: Map<string, JsonObject>
}

/**
 * Reads `device_keys` of a request. Throws `invalidParam` for a name that is no user ID, `badJson` for anything but lists
 * of strings.
 */
export function wantedDevices(deviceKeys: JsonObject): WantedDevices {
  const wanted = new Map<UserId, readonly DeviceId[]>()
  for (const [name, devices] of Object.entries(deviceKeys)) {
    const userId = parseUserId(name)
    if (userId === null) throw invalidParam('device_keys must map user IDs to lists of devices')
    if (!Array.isArray(devices)) throw badJson('device_keys must map user IDs to lists of devices')
    const deviceIds = devices.flatMap(device => {
      if (typeof device !== 'string') throw badJson('A device ID must be a string')
      return parseDeviceId(device) ?? []
    })
    // A list of nothing but impossible devices must not turn into the list that means all of them.
    if (devices.length === 0 || deviceIds.length > 0) wanted.set(userId, deviceIds)
  }
  return wanted
}

/**
 * The keys of this server's users, with the signatures that the viewer may see; `viewer` null: another server, which sees
 * what everybody sees. Users of other servers are left out. A user who has no keys, or does not exist, has no devices: the
 * answer does not tell the two apart.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery
 */
export async function queryLocalKeys(ctx: Context, wanted: WantedDevices, viewer: User | null): Promise<FoundKeys> {
  const found: FoundKeys = {
    deviceKeys: new Map(),
    masterKeys: new Map(),
    selfSigningKeys: new Map(),
    userSigningKeys: new Map(),
  }
  const local = [...wanted.keys()].filter(userId => isLocal(ctx, userId))
  const users = await knownUsers(ctx, local)
  const numbers = [...users.keys()]
  const [devices, crossSigning, signatures] = await Promise.all([
    deviceKeysOfUsers(ctx.db.kysely, ctx.numbers.sealer, numbers),
    crossSigningKeysOfUsers(ctx.db.kysely, numbers),
    signaturesSeenBy(ctx, users, viewer),
  ])
  const devicesOfUsers = new Map<UserId, [DeviceId, JsonObject][]>(local.map(userId => [userId, []]))
  for (const { userNumber, deviceId, keys, displayName } of devices) {
    const userId = users.get(userNumber)
    const asked = userId === undefined ? undefined : wanted.get(userId)
    if (userId === undefined || asked === undefined || (asked.length > 0 && !asked.includes(deviceId))) continue
    const signed = signatures.add(userId, deviceId, keys)
    // What somebody calls their devices is for themselves, unless the operator says otherwise; other servers never learn it.
    const isShown = viewer !== null && (viewer.userId === userId || ctx.config.sharing.deviceNames)
    const isNamed = displayName !== null && isShown
    devicesOfUsers.get(userId)?.push([deviceId, isNamed ? { ...signed, unsigned: { device_display_name: displayName } } : signed]) // prettier-ignore
  }
  for (const [userId, entries] of devicesOfUsers) found.deviceKeys.set(userId, Object.fromEntries(entries))
  for (const [userNumber, keys] of crossSigning) {
    const userId = users.get(userNumber)
    if (userId !== undefined) addCrossSigningKeys(found, userId, keys, viewer, signatures)
  }
  return found
}

function addCrossSigningKeys(
  found: FoundKeys,
  userId: UserId,
  keys: CrossSigningKeys,
  viewer: User | null,
  signatures: SeenSignatures,
): void {
  const places: (readonly [CrossSigningUsage, Map<string, JsonObject>])[] = [
    ['master', found.masterKeys],
    ['self_signing', found.selfSigningKeys],
    // Whom a user has verified, and with which key, is for themselves.
    ...(viewer?.userId === userId ? ([['user_signing', found.userSigningKeys]] as const) : []),
  ]
  for (const [usage, place] of places) {
    const key = keys.get(usage)
    const publicKey = key && crossSigningPublicKey(key)
    if (key && publicKey) place.set(userId, signatures.add(userId, publicKey, key))
  }
}

/** The signatures over some users' keys that a viewer may see. */
interface SeenSignatures {
  /** A copy of the user's key, named by device ID or public key, with the signatures that were uploaded apart from it. */
  add(userId: UserId, keyName: string, key: JsonObject): JsonObject
}

async function signaturesSeenBy(
  ctx: Context,
  users: ReadonlyMap<number, UserId>,
  viewer: User | null,
): Promise<SeenSignatures> {
  const found = await visibleSignatures(ctx.db.kysely, [...users.keys()], viewer?.userNumber ?? null)
  const byTarget = new Map<string, [UserId, KeySignature][]>()
  for (const signature of found) {
    const target = users.get(signature.targetNumber)
    const signer = signature.signerNumber === signature.targetNumber ? target : viewer?.userId
    if (target === undefined || signer === undefined) continue
    const name = `${target} ${signature.targetKey}`
    byTarget.set(name, [...(byTarget.get(name) ?? []), [signer, signature]])
  }
  return {
    add: (userId, keyName, key) =>
      (byTarget.get(`${userId} ${keyName}`) ?? []).reduce(
        (signed, [signer, each]) => withSignature(signed, signer, each.signerKeyId, each.signature),
        key,
      ),
  }
}

/**
 * The keys of users of this server and of others. Servers that cannot be reached within `timeoutMs` are named in
 * `failures`. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */
export async function queryKeys(
  ctx: Context,
  caller: User,
  wanted: WantedDevices,
  timeoutMs: number | null,
): Promise<FoundKeys & { readonly failures: JsonObject }> {
  const [found, remote] = await Promise.all([
    queryLocalKeys(ctx, wanted, caller),
    askServers(ctx, byServer(ctx, wanted.keys()), timeoutMs, (server, users) =>
      ctx.remote.queryKeys(server, {
        device_keys: Object.fromEntries(users.map(user => [user, [...(wanted.get(user) ?? [])]])),
      }),
    ),
  ])
  if (remote.answers.length > 0) {
    const users = await knownUsers(
      ctx,
      remote.answers.flatMap(({ users }) => users),
    )
    const signatures = await signaturesSeenBy(ctx, users, caller)
    for (const answer of remote.answers) addRemoteKeys(found, answer, signatures)
  }
  return { ...found, failures: remote.failures }
}

/** Adds what another server said of those of its users it was asked about; what is malformed is left out. */
function addRemoteKeys(found: FoundKeys, { users, answer }: ServerAnswer, signatures: SeenSignatures): void {
  for (const userId of users) {
    const devices = objectOf(answer.device_keys, userId)
    if (devices) found.deviceKeys.set(userId, Object.fromEntries(Object.entries(devices).filter(([deviceId, keys]) => isDevice(userId, deviceId, keys)))) // prettier-ignore
    const masterKey = crossSigningKeyIn(answer.master_keys, userId)
    if (masterKey) found.masterKeys.set(userId, signatures.add(userId, masterKey.publicKey, masterKey.key))
    const selfSigningKey = crossSigningKeyIn(answer.self_signing_keys, userId)
    if (selfSigningKey) found.selfSigningKeys.set(userId, selfSigningKey.key)
  }
}

function objectOf(value: unknown, name: string): JsonObject | null {
  if (!isJsonObject(value) || !Object.hasOwn(value, name)) return null
  const inner = value[name]
  return isJsonObject(inner) ? inner : null
}

function isDevice(userId: UserId, deviceId: string, keys: unknown): boolean {
  return isJsonObject(keys) && keys.user_id === userId && keys.device_id === deviceId && isJsonObject(keys.keys)
}

/** The cross-signing key of a user in a map by user; `null` unless it is there and says that it is theirs. */
export function crossSigningKeyIn(
  keys: unknown,
  userId: UserId,
): { readonly key: JsonObject; readonly publicKey: string } | null {
  const key = objectOf(keys, userId)
  const publicKey = key && key.user_id === userId ? crossSigningPublicKey(key) : null
  return key && publicKey ? { key, publicKey } : null
}
