import { type DeviceId, type UserId } from '../protocol/identifiers.ts'
import { type Reader, statement, type Tx } from './database.ts'

/** What an access token stands for. The account is not deactivated: those have no devices. */
export interface TokenOwner {
  readonly userId: UserId
  readonly userNumber: number
  readonly deviceId: DeviceId
  /** Milliseconds since the epoch; `null` for a token that does not expire. */
  readonly expiresTs: number | null
  /** YYYY-MM-DD. */
  readonly lastSeenOn: string
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  /** True when using this token shows that the client has the answer to its last refresh, and the server does not know yet. */
  readonly confirmsRefresh: boolean
}

interface TokenOwnerRow {
  user_id: string
  user_number: number
  device_id: string
  expires_ts: number | null
  last_seen_on: string
  is_admin: boolean
  is_guest: boolean
  is_locked: boolean
  is_suspended: boolean
  confirms_refresh: boolean
}

const findOwner = statement<[Buffer], TokenOwnerRow>(
  'token_owner',
  `SELECT u.user_id, t.user_number, t.device_id, t.expires_ts, d.last_seen_on,
     a.is_admin, a.is_guest, a.is_locked, a.is_suspended,
     coalesce(r.previous_hash IS NOT NULL AND r.previous_hash <> t.refresh_hash, false) AS confirms_refresh
   FROM access_tokens t
     JOIN devices d USING (user_number, device_id)
     JOIN accounts a USING (user_number)
     JOIN users u USING (user_number)
     LEFT JOIN refresh_tokens r USING (user_number, device_id)
   WHERE t.token_hash = $1 AND NOT a.is_deactivated`,
)

/** Whose access token this is, expired or not; `null` if nobody's. */
export async function ownerOfToken(reader: Reader, tokenHash: Buffer): Promise<TokenOwner | null> {
  const row = await findOwner.first(reader, [tokenHash])
  if (!row) return null
  return {
    // Both columns hold nothing but identifiers that were parsed before they were inserted.
    userId: row.user_id as UserId,
    deviceId: row.device_id as DeviceId,
    userNumber: row.user_number,
    expiresTs: row.expires_ts,
    lastSeenOn: row.last_seen_on,
    isAdmin: row.is_admin,
    isGuest: row.is_guest,
    isLocked: row.is_locked,
    isSuspended: row.is_suspended,
    confirmsRefresh: row.confirms_refresh,
  }
}

/** `refreshHash`: the refresh token that is handed out with it. */
export async function insertAccessToken(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  token: { readonly hash: Buffer; readonly expiresTs: number | null; readonly refreshHash: Buffer | null },
): Promise<void> {
  await tx
    .insertInto('access_tokens')
    .values({
      token_hash: token.hash,
      user_number: userNumber,
      device_id: deviceId,
      expires_ts: token.expiresTs,
      refresh_hash: token.refreshHash,
    })
    .execute()
}

/** Deletes the device's access tokens and its refresh token. */
export async function deleteTokensOfDevice(tx: Tx, userNumber: number, deviceId: DeviceId): Promise<void> {
  for (const table of ['access_tokens', 'refresh_tokens'] as const) {
    await tx.deleteFrom(table).where('user_number', '=', userNumber).where('device_id', '=', deviceId).execute()
  }
}

/** Deletes the device's access tokens that did not come with this refresh token. Returns how many there were. */
export async function deleteTokensOfOtherRefreshes(
  tx: Tx,
  userNumber: number,
  deviceId: DeviceId,
  refreshHash: Buffer,
): Promise<number> {
  const result = await tx
    .deleteFrom('access_tokens')
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .where('refresh_hash', 'is distinct from', refreshHash)
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}

/** A session that can be refreshed. */
export interface RefreshFamily {
  readonly userNumber: number
  readonly deviceId: DeviceId
  readonly currentHash: Buffer
  readonly previousHash: Buffer | null
  readonly expiresTs: number
}

export async function insertRefreshFamily(tx: Tx, familyHash: Buffer, family: RefreshFamily): Promise<void> {
  await tx
    .insertInto('refresh_tokens')
    .values({
      family_hash: familyHash,
      user_number: family.userNumber,
      device_id: family.deviceId,
      current_hash: family.currentHash,
      previous_hash: family.previousHash,
      expires_ts: family.expiresTs,
    })
    .execute()
}

/** The session of that family, which stays locked until the transaction ends; `null` if there is none any more. */
export async function lockRefreshFamily(tx: Tx, familyHash: Buffer): Promise<RefreshFamily | null> {
  const row = await tx
    .selectFrom('refresh_tokens')
    .select(['user_number', 'device_id', 'current_hash', 'previous_hash', 'expires_ts'])
    .where('family_hash', '=', familyHash)
    .forUpdate()
    .executeTakeFirst()
  if (!row) return null
  return {
    userNumber: row.user_number,
    // As above.
    deviceId: row.device_id as DeviceId,
    currentHash: row.current_hash,
    previousHash: row.previous_hash,
    expiresTs: row.expires_ts,
  }
}

/** True if an access token of the device was handed out with this refresh token. */
export async function cameWithToken(
  reader: Reader,
  userNumber: number,
  deviceId: DeviceId,
  refreshHash: Buffer,
): Promise<boolean> {
  const row = await reader
    .selectFrom('access_tokens')
    .select('user_number')
    .where('user_number', '=', userNumber)
    .where('device_id', '=', deviceId)
    .where('refresh_hash', '=', refreshHash)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** Makes `currentHash` the family's token; `previousHash` stays good until that one is used. */
export async function rotateRefreshFamily(
  tx: Tx,
  familyHash: Buffer,
  next: { readonly currentHash: Buffer; readonly previousHash: Buffer; readonly expiresTs: number },
): Promise<void> {
  await tx
    .updateTable('refresh_tokens')
    .set({ current_hash: next.currentHash, previous_hash: next.previousHash, expires_ts: next.expiresTs })
    .where('family_hash', '=', familyHash)
    .execute()
}

/** The client has used this access token, so it has the refresh token that came with it: the one before is void. */
export async function confirmRefresh(tx: Tx, userNumber: number, deviceId: DeviceId, tokenHash: Buffer): Promise<void> {
  await tx
    .updateTable('refresh_tokens')
    .from('access_tokens')
    .set(({ ref }) => ({ current_hash: ref('access_tokens.refresh_hash').$notNull(), previous_hash: null }))
    .where('refresh_tokens.user_number', '=', userNumber)
    .where('refresh_tokens.device_id', '=', deviceId)
    .where('refresh_tokens.previous_hash', 'is not', null)
    .where('access_tokens.token_hash', '=', tokenHash)
    .where('access_tokens.user_number', '=', userNumber)
    .where('access_tokens.device_id', '=', deviceId)
    .whereRef('refresh_tokens.previous_hash', '<>', 'access_tokens.refresh_hash')
    .execute()
}

/** A token for one login. */
export async function insertLoginToken(
  tx: Tx,
  tokenHash: Buffer,
  userNumber: number,
  expiresTs: number,
): Promise<void> {
  await tx
    .insertInto('login_tokens')
    .values({ token_hash: tokenHash, user_number: userNumber, expires_ts: expiresTs })
    .execute()
}

/** Uses up a login token: the number of its user, or `null` if it is unknown, used or expired. */
export async function takeLoginToken(tx: Tx, tokenHash: Buffer, nowTs: number): Promise<number | null> {
  const row = await tx
    .deleteFrom('login_tokens')
    .where('token_hash', '=', tokenHash)
    .returning(['user_number', 'expires_ts'])
    .executeTakeFirst()
  return row && row.expires_ts > nowTs ? row.user_number : null
}

export async function deleteLoginTokens(tx: Tx, userNumber: number): Promise<void> {
  await tx.deleteFrom('login_tokens').where('user_number', '=', userNumber).execute()
}

/** Deletes login tokens that have expired; returns how many. */
export async function deleteExpiredLoginTokens(tx: Tx, nowTs: number): Promise<number> {
  const result = await tx.deleteFrom('login_tokens').where('expires_ts', '<=', nowTs).executeTakeFirst()
  return Number(result.numDeletedRows)
}
