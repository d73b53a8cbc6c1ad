import { type Context, isLocal } from '../context.ts'
import { badJson, invalidParam } from '../errors.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { transaction } from '../storage/database.ts'
import { claimKeys, type KeyClaim } from '../storage/one-time-keys.ts'
import { changingKeys } from './key-counts.ts'
import { isKeyName } from './key-objects.ts'
import { knownUsers } from './known-users.ts'
import { askServers, byServer } from './remote-keys.ts'

/** Which keys are wanted: of each user's devices, one key of an algorithm. */
export type WantedKeys = ReadonlyMap<UserId, ReadonlyMap<DeviceId, string>>

/**
 * Reads `one_time_keys` of a request. Throws `invalidParam` for a name that is no user ID, `badJson` for what is of the wrong
 * type; devices that cannot exist are left out.
 */
export function wantedKeys(oneTimeKeys: JsonObject): WantedKeys {
  const wanted = new Map<UserId, Map<DeviceId, string>>()
  for (const [name, devices] of Object.entries(oneTimeKeys)) {
    const userId = parseUserId(name)
    if (userId === null) throw invalidParam('one_time_keys must map user IDs to devices')
    if (!isJsonObject(devices)) throw badJson('one_time_keys must map user IDs to devices')
    const ofUser = new Map<DeviceId, string>()
    for (const [device, algorithm] of Object.entries(devices)) {
      if (typeof algorithm !== 'string') throw badJson('one_time_keys must map devices to algorithms')
      const deviceId = parseDeviceId(device)
      if (deviceId !== null && isKeyName(algorithm)) ofUser.set(deviceId, algorithm)
    }
    wanted.set(userId, ofUser)
  }
  return wanted
}

/**
 * Takes one key for each device of this server's users; a one-time key is given out once, here or to another server.
 * Devices without keys and users without such devices are left out; so are users of other servers.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim
 */
export async function claimLocalKeys(ctx: Context, wanted: WantedKeys): Promise<JsonObject> {
  const local = [...wanted.keys()].filter(userId => isLocal(ctx, userId))
  const users = await knownUsers(ctx, local)
  const claims: KeyClaim[] = [...users].flatMap(([userNumber, userId]) =>
    [...(wanted.get(userId) ?? [])].map(([deviceId, algorithm]) => ({ userNumber, deviceId, algorithm })),
  )
  if (claims.length === 0) return {}
  // The answer is made after the commit: until then somebody else might be given the same key.
  const claimed = await changingKeys(ctx, note =>
    transaction(ctx.db, async tx => {
      const taken = await claimKeys(tx, claims)
      await note(tx, taken.flatMap(({ userNumber }) => users.get(userNumber) ?? [])) // prettier-ignore
      return taken
    }),
  )
  const answer = new Map<UserId, Map<string, JsonObject>>()
  for (const { userNumber, deviceId, keyId, key } of claimed) {
    const userId = users.get(userNumber)
    if (userId === undefined) continue
    const ofUser = answer.get(userId) ?? new Map<string, JsonObject>()
    answer.set(userId, ofUser.set(deviceId, { [keyId]: key }))
  }
  return Object.fromEntries([...answer].map(([userId, devices]) => [userId, Object.fromEntries(devices)]))
}

/**
 * Claims one key of each device, of this server's users and of others'. Servers that cannot be reached within `timeoutMs`
 * are named in `failures`. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim
 */
export async function claimOneTimeKeys(
  ctx: Context,
  wanted: WantedKeys,
  timeoutMs: number | null,
): Promise<{ readonly oneTimeKeys: JsonObject; readonly failures: JsonObject }> {
  const [local, remote] = await Promise.all([
    claimLocalKeys(ctx, wanted),
    askServers(ctx, byServer(ctx, wanted.keys()), timeoutMs, (server, users) =>
      ctx.remote.claimKeys(server, {
        one_time_keys: Object.fromEntries(users.map(user => [user, Object.fromEntries(wanted.get(user) ?? [])])),
      }),
    ),
  ])
  const oneTimeKeys = new Map(Object.entries(local))
  for (const { users, answer } of remote.answers) {
    if (!isJsonObject(answer.one_time_keys)) continue
    for (const [userId, devices] of Object.entries(answer.one_time_keys)) {
      const user = users.find(each => each === userId)
      // What was not asked for is not told: a server speaks for its own users only.
      if (user === undefined || !isJsonObject(devices)) continue
      const kept = [...(wanted.get(user)?.keys() ?? [])].flatMap(deviceId => {
        const keys = Object.hasOwn(devices, deviceId) ? devices[deviceId] : undefined
        return isJsonObject(keys) ? [[deviceId, keys] as const] : []
      })
      if (kept.length > 0) oneTimeKeys.set(userId, Object.fromEntries(kept))
    }
  }
  return { oneTimeKeys: Object.fromEntries(oneTimeKeys), failures: remote.failures }
}
