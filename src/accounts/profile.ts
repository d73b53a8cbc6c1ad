import { type Context, isLocal } from '../context.ts'
import { badJson, invalidParam, MatrixError, notFound } from '../errors.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../protocol/json.ts'
import { mediaIn } from '../protocol/media-in.ts'
import { propagateProfile } from '../rooms/profile-propagation.ts'
import { accountByUserId, lockAccount } from '../storage/accounts.ts'
import { seesMember } from '../storage/memberships.ts'
import { deleteProfileField, profileBytes, profileNamesOf, profileOf, putProfileField } from '../storage/profiles.ts'
import { type AccountOwner } from './account.ts'

/** Bytes. */
export const displayNameLimitBytes = 256
export const avatarUrlLimitBytes = 1_000
export const profileKeyLimitBytes = 255
export const profileLimitBytes = 65_536

/**
 * Everything in a user's profile. `null` when nothing is known of the user; an object without keys for a local account that
 * says nothing of itself. Other servers are asked about their users. Throws what the other server's refusal means.
 */
export async function profile(ctx: Context, userId: UserId): Promise<JsonObject | null> {
  if (!isLocal(ctx, userId)) {
    if (!ctx.remote.enabled) return null
    const answer = await ctx.remote.profile(userId)
    return answer && withoutMalformed(answer)
  }
  const fields = await profileOf(ctx.db.kysely, ctx.numbers.sealer, userId)
  if (fields.size > 0) return Object.fromEntries(fields)
  const account = await accountByUserId(ctx.db.kysely, userId)
  return account && !account.isDeactivated ? {} : null
}

/**
 * What `viewer` (`null`: somebody without an account) is shown of a profile: all of it, or `null` as for a user who does not
 * exist. Whose profiles are shown to whom is the operator's to say; another server decides about those of its own users.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid
 */
export async function profileSeenBy(
  ctx: Context,
  viewer: AccountOwner | null,
  userId: UserId,
): Promise<JsonObject | null> {
  return (await mayReadProfile(ctx, viewer, userId)) ? profile(ctx, userId) : null
}

async function mayReadProfile(ctx: Context, viewer: AccountOwner | null, userId: UserId): Promise<boolean> {
  switch (ctx.config.profiles.visibleTo) {
    case 'everyone':
      return true
    case 'users':
      return viewer !== null
    case 'shared_rooms': {
      if (viewer === null) return false
      if (viewer.userId === userId || !isLocal(ctx, userId)) return true
      const account = await accountByUserId(ctx.db.kysely, userId)
      return account !== null && seesMember(ctx.db.kysely, viewer.userNumber, account.userNumber)
    }
  }
}

/** What other servers say is passed on, but clients may rely on the types of the two fields that all of them show. */
function withoutMalformed(answer: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(answer).filter(([key, value]) => !isNameKey(key) || typeof value === 'string'),
  )
}

/** The display name of a local user, `null` if none is set. */
export async function displayNameOf(ctx: Context, userId: UserId): Promise<string | null> {
  const names = await profileNamesOf(ctx.db.kysely, ctx.numbers.sealer, [userId])
  return names.get(userId)?.displayname ?? null
}

/** The fields that membership events carry, and that guests may set. */
function isNameKey(key: string): key is 'displayname' | 'avatar_url' {
  return key === 'displayname' || key === 'avatar_url'
}

/** Throws what `setProfileField` throws for a key or a value that no profile may have. */
export function checkProfileField(key: string, value: JsonValue): void {
  checkKey(key)
  checkValue(key, value)
}

/**
 * Sets a field of the user's own profile and has the user's rooms told of a new name or avatar. Throws `M_KEY_TOO_LARGE`,
 * `invalidParam` for a key that is not allowed, `badJson` for a value of the wrong type, `M_PROFILE_TOO_LARGE`.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname
 */
export async function setProfileField(ctx: Context, owner: AccountOwner, key: string, value: JsonValue): Promise<void> {
  checkProfileField(key, value)
  // An empty name or avatar has always meant that there is none.
  if (isNameKey(key) && (value === '' || value === null)) return removeProfileField(ctx, owner, key)
  const bytes = Buffer.byteLength(key) + Buffer.byteLength(JSON.stringify(value))
  const hasChanged = await ctx.log.transact(async (tx, announce) => {
    await lockAccount(tx, owner.userNumber)
    if ((await profileBytes(tx, ctx.numbers.sealer, owner.userNumber, key)) + bytes > profileLimitBytes) {
      throw new MatrixError('M_PROFILE_TOO_LARGE', `A profile may have ${profileLimitBytes} bytes`)
    }
    const media = mediaIn({ [key]: value }, ctx.serverName)
    const changed = await putProfileField(tx, ctx.numbers.sealer, owner.userNumber, key, value, media)
    if (changed) announce({ kind: 'profile', userId: owner.userId })
    return changed
  })
  if (hasChanged && isNameKey(key)) await propagateProfile(ctx, owner.userId)
}

/**
 * Removes a field, if it is there. Throws like `setProfileField` for keys that are not allowed.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname
 */
export async function removeProfileField(ctx: Context, owner: AccountOwner, key: string): Promise<void> {
  checkKey(key)
  const hasChanged = await ctx.log.transact(async (tx, announce) => {
    const changed = await deleteProfileField(tx, owner.userNumber, key)
    if (changed) announce({ kind: 'profile', userId: owner.userId })
    return changed
  })
  if (hasChanged && isNameKey(key)) await propagateProfile(ctx, owner.userId)
}

/** One field. Throws `notFound` if the user, or the field, is not there or not shown to the viewer. */
export async function profileField(
  ctx: Context,
  viewer: AccountOwner | null,
  userId: UserId,
  key: string,
): Promise<JsonValue> {
  checkKey(key)
  const value = (await profileSeenBy(ctx, viewer, userId))?.[key]
  if (value === undefined) throw notFound('There is no such profile field')
  return value
}

/** https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar */
const namespacedKey = /^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$/

function checkKey(key: string): void {
  if (Buffer.byteLength(key) > profileKeyLimitBytes) {
    throw new MatrixError('M_KEY_TOO_LARGE', `A profile key may have ${profileKeyLimitBytes} bytes`)
  }
  if (!isNameKey(key) && !namespacedKey.test(key)) throw invalidParam('That is not a profile key')
}

function checkValue(key: string, value: JsonValue): void {
  if (!isNameKey(key)) {
    if (key === 'm.tz' && typeof value !== 'string') throw badJson('m.tz must be a string')
    return
  }
  if (value === null) return
  if (typeof value !== 'string') throw badJson(`${key} must be a string`)
  const limitBytes = key === 'displayname' ? displayNameLimitBytes : avatarUrlLimitBytes
  if (Buffer.byteLength(value) > limitBytes) throw invalidParam(`${key} may have ${limitBytes} bytes`)
}
