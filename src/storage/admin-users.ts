import { sql, type SqlBool } from 'kysely'
import { type Sealer } from '../privacy/seal.ts'
import { accountDataName } from './account-data.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type Reader } from './database.ts'
import { openProfileValue } from './profiles.ts'

/** An account as lists show it. */
export interface ListedUser {
  readonly userId: UserId
  readonly displayName: string | null
  readonly avatarUrl: string | null
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  readonly isDeactivated: boolean
  readonly isErased: boolean
  /** YYYY-MM-DD. */
  readonly createdOn: string
  /** YYYY-MM-DD; `null` where no device is signed in. */
  readonly lastSeenOn: string | null
}

/** What users may be sorted by, and the expression for it. */
const orders = {
  name: sql`users.user_id`,
  is_guest: sql`accounts.is_guest`,
  admin: sql`accounts.is_admin`,
  deactivated: sql`accounts.is_deactivated`,
  creation_ts: sql`accounts.created_on`,
  last_seen_ts: sql`(SELECT max(d.last_seen_on) FROM devices d WHERE d.user_number = accounts.user_number)`,
  locked: sql`accounts.is_locked`,
  // The same for everybody.
  user_type: sql`NULL::text`,
  shadow_banned: sql`NULL::boolean`,
} as const

/** What is sealed: the database can neither sort by it nor look into it. */
const sealedOrders = ['displayname', 'avatar_url'] as const

export type UserOrder = keyof typeof orders | (typeof sealedOrders)[number]
// The keys of the object are the union.
export const userOrders: readonly UserOrder[] = [...(Object.keys(orders) as (keyof typeof orders)[]), ...sealedOrders]

/** Which users. `null`: it does not matter. */
export interface UsersWanted {
  /** The whole user ID. */
  readonly exactId: UserId | null
  /** Part of the user ID. */
  readonly userId: string | null
  /** Part of the local part or the display name, in letters of either case. */
  readonly name: string | null
  readonly isGuest: boolean | null
  readonly isAdmin: boolean | null
  readonly isDeactivated: boolean | null
  readonly isLocked: boolean | null
  readonly isSuspended: boolean | null
}

function matching(reader: Reader, wanted: UsersWanted) {
  const flags = [
    ['accounts.is_guest', wanted.isGuest],
    ['accounts.is_admin', wanted.isAdmin],
    ['accounts.is_deactivated', wanted.isDeactivated],
    ['accounts.is_locked', wanted.isLocked],
    ['accounts.is_suspended', wanted.isSuspended],
  ] as const
  let query = reader
    .selectFrom('accounts')
    .innerJoin('users', 'users.user_number', 'accounts.user_number')
    .leftJoin('profiles as names', join =>
      join.onRef('names.user_number', '=', 'accounts.user_number').on('names.key', '=', 'displayname'),
    )
    .leftJoin('profiles as avatars', join =>
      join.onRef('avatars.user_number', '=', 'accounts.user_number').on('avatars.key', '=', 'avatar_url'),
    )
  for (const [column, value] of flags) if (value !== null) query = query.where(column, '=', value)
  if (wanted.exactId !== null) query = query.where('users.user_id', '=', wanted.exactId)
  if (wanted.userId !== null) query = query.where(sql<SqlBool>`strpos(users.user_id, ${wanted.userId}) > 0`)
  return query
}

/**
 * A page of the accounts, and how many there are in all. Where names or avatars decide, all accounts that may be meant are
 * read, and opened one by one.
 */
export async function listUsers(
  reader: Reader,
  sealer: Sealer,
  wanted: UsersWanted,
  page: { readonly order: UserOrder; readonly direction: 'f' | 'b'; readonly from: number; readonly limit: number },
): Promise<{ readonly users: ListedUser[]; readonly total: number }> {
  const { order, from, limit } = page
  const direction = page.direction === 'b' ? sql`DESC NULLS LAST` : sql`ASC NULLS FIRST`
  const isByName = order === 'displayname' || order === 'avatar_url'
  let query = matching(reader, wanted)
    .select([
      'accounts.user_number',
      'users.user_id',
      'is_admin',
      'is_guest',
      'is_locked',
      'is_suspended',
      'is_deactivated',
      'is_erased',
      'created_on',
      'names.value as display_name',
      'avatars.value as avatar_url',
    ])
    .select(sql<string | null>`${orders.last_seen_ts}`.as('last_seen_on'))
    .orderBy(isByName ? sql`users.user_id` : sql`${orders[order]} ${direction}`)
    .orderBy('users.user_id')
  const isOpened = isByName || wanted.name !== null
  if (!isOpened) query = query.offset(from).limit(limit)
  const rows = await query.execute()
  const users = rows.map(row => ({
    // The column holds nothing but user IDs that were parsed before they were inserted.
    userId: row.user_id as UserId,
    displayName: openText(sealer, row.user_number, 'displayname', row.display_name),
    avatarUrl: openText(sealer, row.user_number, 'avatar_url', row.avatar_url),
    isAdmin: row.is_admin,
    isGuest: row.is_guest,
    isLocked: row.is_locked,
    isSuspended: row.is_suspended,
    isDeactivated: row.is_deactivated,
    isErased: row.is_erased,
    createdOn: row.created_on,
    lastSeenOn: row.last_seen_on,
  }))
  if (!isOpened) {
    const { total } = await matching(reader, wanted)
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow()
    return { total, users }
  }
  const named = users.filter(user => wanted.name === null || isNamed(user, wanted.name.toLowerCase()))
  if (isByName) {
    const keyOf = (user: ListedUser) => (order === 'displayname' ? user.displayName : user.avatarUrl)
    const sign = page.direction === 'b' ? -1 : 1
    named.sort((left, right) => sign * compare(keyOf(left), keyOf(right)))
  }
  return { total: named.length, users: named.slice(from, from + limit) }
}

/** Whether a text, in small letters, is part of the local part or of the display name. */
function isNamed({ userId, displayName }: ListedUser, text: string): boolean {
  const localpart = userId.slice(1, userId.indexOf(':')).toLowerCase()
  return localpart.includes(text) || (displayName?.toLowerCase().includes(text) ?? false)
}

/** By code units, as the database compares; what is not there comes first. */
function compare(left: string | null, right: string | null): number {
  if (left === right) return 0
  if (left === null || right === null) return left === null ? -1 : 1
  return left < right ? -1 : 1
}

/** A field of a profile that is a text. */
function openText(sealer: Sealer, userNumber: number, key: string, sealed: Buffer | null): string | null {
  const value = sealed && openProfileValue(sealer, { user_number: userNumber, key, value: sealed })
  return typeof value === 'string' ? value : null
}

/** All account data of a user: the room's ID (`null`: global), the type and the JSON text. */
export async function allAccountData(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
): Promise<{ readonly roomId: string | null; readonly type: string; readonly content: string }[]> {
  const rows = await reader
    .selectFrom('account_data')
    .leftJoin('rooms', 'rooms.room_number', 'account_data.room_number')
    .select(['rooms.room_id', 'account_data.room_number', 'type', 'content'])
    .where('user_number', '=', userNumber)
    .orderBy('type')
    .execute()
  return rows.flatMap(({ room_id: roomId, room_number: roomNumber, type, content: sealed }) => {
    if (roomNumber !== 0 && roomId === null) return []
    const content = sealer.open(sealed, accountDataName(userNumber, roomNumber, type))
    return content === null ? [] : [{ roomId, type, content }]
  })
}
