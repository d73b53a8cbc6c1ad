import { type Context } from '../context.ts'
import { forbidden, invalidParam, MatrixError, unknownToken } from '../errors.ts'
import { type DeviceId, parseDeviceId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Account, accountByNumber, lockAccount } from '../storage/accounts.ts'
import { type Tx } from '../storage/database.ts'
import {
  deleteDevices, deviceOf, type DeviceChoice, insertDevice, isCrossSigningKeyId,
} from '../storage/devices.ts' // prettier-ignore
import { type Announcement } from '../storage/log-changes.ts'
import {
  cameWithToken, deleteTokensOfDevice, deleteTokensOfOtherRefreshes, insertAccessToken, insertRefreshFamily,
  lockRefreshFamily, type RefreshFamily, rotateRefreshFamily,
} from '../storage/tokens.ts' // prettier-ignore
import { accountLocked } from './authenticate.ts'
import { today } from './dates.ts'
import { isStorable } from './text.ts'
import { newRefreshToken, newToken, readRefreshToken } from './tokens.ts'

/** How long an access token lives that can be refreshed; others live as long as their device. */
export const accessTokenLifetimeMs = 5 * 60 * 1000
/** How long a session may go without being refreshed. */
export const refreshTokenLifetimeMs = 180 * 24 * 60 * 60 * 1000
/** Bytes. */
export const deviceNameLimitBytes = 100
const newDeviceIdLetters = 10

type Announce = (entry: Announcement) => void

/** What a client says of the device that it logs in from. */
export interface SessionRequest {
  /** `null`: a new device. */
  readonly deviceId: DeviceId | null
  /** For a new device; one that is known keeps its name. */
  readonly displayName: string | null
  /** The client can refresh its access token. */
  readonly canRefresh: boolean
}

/** A session as a client is told of it. */
export interface OpenSession {
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly accessToken: string
  readonly refreshToken: string | null
  /** `null`: the access token does not expire. */
  readonly expiresInMs: number | null
}

/** Reads `device_id`, `initial_device_display_name` and `refresh_token` of a login or registration. */
export function sessionRequestOf(body: {
  readonly device_id?: string
  readonly initial_device_display_name?: string
  readonly refresh_token?: boolean
}): SessionRequest {
  const deviceId = body.device_id === undefined ? null : parseDeviceId(body.device_id)
  if (body.device_id !== undefined && deviceId === null) throw invalidParam('device_id is not valid')
  const displayName = body.initial_device_display_name ?? null
  if (displayName !== null) checkDeviceName(displayName)
  return { deviceId, displayName, canRefresh: body.refresh_token === true }
}

/** Throws `invalidParam` for a device name that is too long or cannot be kept. */
export function checkDeviceName(name: string): void {
  if (Buffer.byteLength(name) > deviceNameLimitBytes) {
    throw invalidParam(`A device name may have ${deviceNameLimitBytes} bytes`)
  }
  if (!isStorable(name)) throw invalidParam('The device name is not valid')
}

/** The JSON of a session in the answers of login and registration. */
export function sessionAnswer(session: OpenSession): JsonObject {
  return {
    user_id: session.userId,
    device_id: session.deviceId,
    access_token: session.accessToken,
    ...(session.refreshToken === null ? {} : { refresh_token: session.refreshToken }),
    ...(session.expiresInMs === null ? {} : { expires_in_ms: session.expiresInMs }),
  }
}

/**
 * Logs an account in that has just shown who it is. Throws `M_USER_DEACTIVATED`, `M_USER_LOCKED`, or `forbidden` when the
 * password was changed meanwhile or the device ID is a cross-signing key's.
 */
export function openSession(ctx: Context, account: Account, request: SessionRequest): Promise<OpenSession> {
  return ctx.log.transact(async (tx, announce) => {
    // Whoever changes the password or deactivates the account waits, or has finished: nobody slips in between.
    await lockAccount(tx, account.userNumber)
    const now = await accountByNumber(tx, account.userNumber)
    if (!now || now.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    if (now.isLocked) throw accountLocked()
    if (now.passwordHash !== account.passwordHash) throw forbidden('Invalid username or password')
    return insertSession(ctx, tx, announce, now, request)
  })
}

/**
 * Writes device and tokens. A device that is known gets new tokens in place of its old ones, and goes on with its keys: bots log
 * in at each start, and publish their keys once. Whoever has not got them uploads others.
 * https://spec.matrix.org/v1.19/client-server-api/#relationship-between-access-tokens-and-devices
 */
export async function insertSession(
  ctx: Context,
  tx: Tx,
  announce: Announce,
  account: { readonly userId: UserId; readonly userNumber: number },
  request: SessionRequest,
): Promise<OpenSession> {
  const { userId, userNumber } = account
  // The letters are a device ID.
  const deviceId = request.deviceId ?? (ctx.random.letters(newDeviceIdLetters) as DeviceId)
  if (request.deviceId !== null) {
    if (await isCrossSigningKeyId(tx, userNumber, deviceId)) throw forbidden('That device ID is taken by a key')
    if (await deviceOf(tx, ctx.numbers.sealer, userNumber, deviceId)) {
      await deleteTokensOfDevice(tx, userNumber, deviceId)
      announce({ kind: 'session', userId })
    }
  }
  await insertDevice(tx, ctx.numbers.sealer, userNumber, {
    deviceId,
    displayName: request.displayName,
    lastSeenOn: today(ctx.clock),
  })
  const access = newToken(ctx.random, 'access')
  const refresh = request.canRefresh ? newRefreshToken(ctx.random) : null
  if (refresh) {
    await insertRefreshFamily(tx, refresh.familyHash, {
      userNumber,
      deviceId,
      currentHash: refresh.hash,
      previousHash: null,
      expiresTs: ctx.clock.now() + refreshTokenLifetimeMs,
    })
  }
  await insertAccessToken(tx, userNumber, deviceId, {
    hash: access.hash,
    expiresTs: refresh ? ctx.clock.now() + accessTokenLifetimeMs : null,
    refreshHash: refresh?.hash ?? null,
  })
  return {
    userId,
    deviceId,
    accessToken: access.token,
    refreshToken: refresh?.token ?? null,
    expiresInMs: refresh ? accessTokenLifetimeMs : null,
  }
}

/** What a refresh gives. */
export interface RefreshedTokens {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresInMs: number
}

/**
 * Exchanges a refresh token. The old one stays good until the new one, or the access token that comes with it, is used;
 * whoever presents it after that has stolen it or was stolen from, and the session ends with its device. Throws
 * `unknownToken` (as a soft logout when the session has only expired) and `M_USER_LOCKED`.
 * https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens
 */
export async function refreshSession(ctx: Context, refreshToken: string): Promise<RefreshedTokens> {
  const presented = readRefreshToken(refreshToken)
  if (!presented) throw unknownToken()
  const outcome = await ctx.log.transact(async (tx, announce) => {
    const family = await lockRefreshFamily(tx, presented.familyHash)
    if (!family) return 'unknown'
    const nowTs = ctx.clock.now()
    if (family.expiresTs <= nowTs) return 'expired'
    const account = await accountByNumber(tx, family.userNumber)
    if (!account || account.isDeactivated) return 'unknown'
    if (account.isLocked) throw accountLocked()
    if (!(await mayRefresh(tx, family, presented.hash))) {
      await deleteDevices(tx, family.userNumber, { only: [family.deviceId] })
      announce({ kind: 'session', userId: account.userId })
      announce({ kind: 'device_list', userId: account.userId })
      return 'stolen'
    }
    const isFirstUse = family.previousHash === null || !family.previousHash.equals(presented.hash)
    if (isFirstUse) {
      // Using it shows that the client has it, so whatever came before it, and beside it, is void.
      const voided = await deleteTokensOfOtherRefreshes(tx, family.userNumber, family.deviceId, presented.hash)
      if (voided > 0) announce({ kind: 'session', userId: account.userId })
    }
    const access = newToken(ctx.random, 'access')
    const refresh = newRefreshToken(ctx.random, presented.family)
    await rotateRefreshFamily(tx, presented.familyHash, {
      currentHash: refresh.hash,
      previousHash: presented.hash,
      expiresTs: nowTs + refreshTokenLifetimeMs,
    })
    await insertAccessToken(tx, family.userNumber, family.deviceId, {
      hash: access.hash,
      expiresTs: nowTs + accessTokenLifetimeMs,
      refreshHash: refresh.hash,
    })
    return { accessToken: access.token, refreshToken: refresh.token, expiresInMs: accessTokenLifetimeMs }
  })
  if (outcome === 'expired') throw unknownToken(true)
  if (outcome === 'unknown' || outcome === 'stolen') throw unknownToken()
  return outcome
}

/**
 * True for the newest token; for the one before, while nobody has used what it was exchanged for; and for what else it was
 * exchanged for meanwhile, when an answer only seemed to be lost.
 */
async function mayRefresh(tx: Tx, family: RefreshFamily, hash: Buffer): Promise<boolean> {
  if (family.currentHash.equals(hash)) return true
  if (family.previousHash === null) return false
  return family.previousHash.equals(hash) || cameWithToken(tx, family.userNumber, family.deviceId, hash)
}

/** Deletes devices of a user, with their tokens, keys and undelivered messages. Returns how many there were. */
export function endSessions(
  ctx: Context,
  user: { readonly userId: UserId; readonly userNumber: number },
  choice: DeviceChoice,
): Promise<number> {
  return ctx.log.transact((tx, announce) => endSessionsIn(tx, announce, user, choice))
}

/** Like `endSessions`, as part of something larger. */
export async function endSessionsIn(
  tx: Tx,
  announce: Announce,
  user: { readonly userId: UserId; readonly userNumber: number },
  choice: DeviceChoice,
): Promise<number> {
  const deleted = await deleteDevices(tx, user.userNumber, choice)
  if (deleted.length > 0) {
    announce({ kind: 'session', userId: user.userId })
    announce({ kind: 'device_list', userId: user.userId })
  }
  return deleted.length
}
