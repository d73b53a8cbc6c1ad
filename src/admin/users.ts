import { changePassword, setFlags } from '../accounts/account.ts'
import { startOfDay, today } from '../accounts/dates.ts'
import { checkNewPassword } from '../accounts/passwords.ts'
import { checkProfileField, removeProfileField, setProfileField } from '../accounts/profile.ts'
import { availableUserId, register } from '../accounts/registration.ts'
import { checkDeviceName } from '../accounts/sessions.ts'
import { newToken } from '../accounts/tokens.ts'
import { type Context, isLocal } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { deactivate } from '../privacy/deactivate.ts'
import { type DeviceId, localpartOf, type UserId } from '../protocol/identifiers.ts'
import { type Account, accountByUserId } from '../storage/accounts.ts'
import { type ListedUser } from '../storage/admin-users.ts'
import { insertDevice } from '../storage/devices.ts'
import { insertAccessToken } from '../storage/tokens.ts'
import { localAccount } from './local-account.ts'

const refused = (message: string) => new MatrixError('M_UNKNOWN', message)

/** Gives somebody the rights of an administrator, or takes them. Throws 400 for one's own. */
export async function setAdmin(ctx: Context, caller: { userId: UserId }, userId: UserId, isAdmin: boolean) {
  const account = await localAccount(ctx, userId)
  if (!isAdmin && caller.userId === userId) throw refused('You may not demote yourself.')
  await setFlags(ctx, account, { isAdmin })
}

/** Sets a password for somebody. Throws `M_WEAK_PASSWORD`, `notFound`, `M_USER_DEACTIVATED`. */
export async function resetPassword(ctx: Context, userId: UserId, password: string, logOut: boolean): Promise<void> {
  const account = await localAccount(ctx, userId)
  checkNewPassword(password)
  await changePassword(ctx, account, { password, logOutOthers: logOut, keptDevice: null }, () => Promise.resolve())
}

/** What an administrator says of an account; what is absent stays. */
export interface AccountChanges {
  readonly password?: string | null
  readonly logOut: boolean
  /** `null` or '': none. */
  readonly displayName?: string | null
  readonly avatarUrl?: string | null
  readonly isAdmin?: boolean
  readonly isLocked?: boolean
  readonly isDeactivated?: boolean
}

/**
 * Makes an account, or changes one; true if it was made. Throws 400 for what cannot be: another server's user, a
 * deactivated account that is to come back, one's own rights taken away; and what is wrong with the name or the password.
 */
export async function putAccount(
  ctx: Context,
  caller: { readonly userId: UserId },
  userId: UserId,
  changes: AccountChanges,
): Promise<boolean> {
  if (!isLocal(ctx, userId)) throw refused('This endpoint can only be used with local users')
  const known = await accountByUserId(ctx.db.kysely, userId)
  // All of it is looked at before any of it is done: what is refused has changed nothing.
  if (changes.password !== undefined && changes.password !== null) checkNewPassword(changes.password)
  checkProfileField('displayname', changes.displayName ?? null)
  checkProfileField('avatar_url', changes.avatarUrl ?? null)
  if (changes.isDeactivated === true && changes.isLocked === true) {
    throw refused('An account is closed or locked, not both')
  }
  if (caller.userId === userId && changes.isAdmin === false) throw refused('You may not demote yourself.')
  if (known?.isDeactivated === true) {
    const { displayName, avatarUrl, password, isDeactivated } = changes
    const isChanged = [displayName, avatarUrl, password].some(value => (value ?? '') !== '')
    if (isDeactivated !== true || isChanged) {
      throw new MatrixError('M_USER_DEACTIVATED', 'A deactivated account does not come back')
    }
    await deactivate(ctx, known, false)
    return false
  }
  if (!known) {
    // Names are made in small letters.
    if ((await availableUserId(ctx, localpartOf(userId))) !== userId) {
      throw new MatrixError('M_INVALID_USERNAME', 'Usernames have small letters only')
    }
    const account = { userId, password: changes.password ?? null, isAdmin: changes.isAdmin === true }
    await register(ctx, account, null, () => Promise.resolve())
  }
  const account = known ?? (await localAccount(ctx, userId))
  await setName(ctx, account, 'displayname', changes.displayName)
  await setName(ctx, account, 'avatar_url', changes.avatarUrl)
  if (changes.isAdmin !== undefined || changes.isLocked !== undefined) {
    await setFlags(ctx, account, {
      ...(changes.isAdmin === undefined ? {} : { isAdmin: changes.isAdmin }),
      ...(changes.isLocked === undefined ? {} : { isLocked: changes.isLocked }),
    })
  }
  if (known && changes.password !== undefined && changes.password !== null) {
    await resetPassword(ctx, userId, changes.password, changes.logOut)
  }
  if (changes.isDeactivated === true) await deactivate(ctx, account, false)
  return !known
}

async function setName(ctx: Context, account: Account, key: 'displayname' | 'avatar_url', value?: string | null) {
  if (value === undefined) return
  if (value === null || value === '') await removeProfileField(ctx, account, key)
  else await setProfileField(ctx, account, key, value)
}

/** Makes a device that nobody is signed in on. One that is there already stays as it is. */
export async function makeDevice(ctx: Context, userId: UserId, deviceId: DeviceId, name: string | null): Promise<void> {
  const account = await localAccount(ctx, userId)
  if (account.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
  if (name !== null) checkDeviceName(name)
  await ctx.log.transact(async (tx, announce) => {
    await insertDevice(tx, ctx.numbers.sealer, account.userNumber, {
      deviceId,
      displayName: name,
      lastSeenOn: today(ctx.clock),
    })
    announce({ kind: 'device_list', userId })
  })
}

/** How long an administrator is somebody else, unless the request says otherwise. */
const loginLifetimeMs = 60 * 60 * 1000
const deviceIdLetters = 10

/**
 * Signs an administrator in as somebody: returns an access token that expires. The device is there for the user to see.
 * Throws `notFound`, and 400 for oneself or a deactivated account.
 */
export async function loginAs(
  ctx: Context,
  caller: { readonly userId: UserId },
  userId: UserId,
  untilTs: number | null,
): Promise<string> {
  const account = await localAccount(ctx, userId)
  if (caller.userId === userId) throw refused('Cannot use admin API to login as self')
  if (account.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
  const { token, hash } = newToken(ctx.random, 'access')
  // The letters are a device ID.
  const deviceId = ctx.random.letters(deviceIdLetters) as DeviceId
  await ctx.log.transact(async (tx, announce) => {
    const device = { deviceId, displayName: 'An administrator of the server', lastSeenOn: today(ctx.clock) }
    await insertDevice(tx, ctx.numbers.sealer, account.userNumber, device)
    const expiresTs = untilTs ?? ctx.clock.now() + loginLifetimeMs
    await insertAccessToken(tx, account.userNumber, deviceId, { hash, expiresTs, refreshHash: null })
    announce({ kind: 'device_list', userId })
  })
  return token
}

/** An account in the fields that lists of Synapse have. Times are known to the day. */
export function listedAnswer(user: ListedUser) {
  return {
    name: user.userId,
    user_type: null,
    is_guest: user.isGuest,
    admin: user.isAdmin,
    deactivated: user.isDeactivated,
    erased: user.isErased,
    shadow_banned: false,
    displayname: user.displayName,
    avatar_url: user.avatarUrl,
    creation_ts: startOfDay(user.createdOn),
    approved: true,
    last_seen_ts: user.lastSeenOn === null ? null : startOfDay(user.lastSeenOn),
    locked: user.isLocked,
    suspended: user.isSuspended,
  }
}

/** One account in the fields that Synapse has for one: here the time of its making is in seconds. */
export function accountAnswer(user: ListedUser) {
  const { creation_ts: createdMs, approved: _approved, ...common } = listedAnswer(user)
  return {
    ...common,
    creation_ts: createdMs / 1000,
    appservice_id: null,
    consent_server_notice_sent: null,
    consent_version: null,
    consent_ts: null,
    threepids: [],
    external_ids: [],
  }
}
