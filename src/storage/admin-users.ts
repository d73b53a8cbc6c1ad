import { sql, type SqlBool } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type Reader } from './database.ts'

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
  displayname: sql`(names.value::json #>> '{}')`,
  avatar_url: sql`(avatars.value::json #>> '{}')`,
  creation_ts: sql`accounts.created_on`,
  last_seen_ts: sql`(SELECT max(d.last_seen_on) FROM devices d WHERE d.user_number = accounts.user_number)`,
  locked: sql`accounts.is_locked`,
} as const

export type UserOrder = keyof typeof orders
export const userOrders = Object.keys(orders) as UserOrder[] // The keys of the object are the union.

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
  if (wanted.name !== null) {
    const name = wanted.name.toLowerCase()
    query = query.where(
      sql<SqlBool>`(strpos(lower(split_part(substr(users.user_id, 2), ':', 1)), ${name}) > 0
        OR strpos(lower(names.value::json #>> '{}'), ${name}) > 0)`,
    )
  }
  return query
}

/** A page of the accounts, and how many there are in all. */
export async function listUsers(
  reader: Reader,
  wanted: UsersWanted,
  page: { readonly order: UserOrder; readonly direction: 'f' | 'b'; readonly from: number; readonly limit: number },
): Promise<{ readonly users: ListedUser[]; readonly total: number }> {
  const direction = page.direction === 'b' ? sql`DESC NULLS LAST` : sql`ASC NULLS FIRST`
  const [rows, counted] = await Promise.all([
    matching(reader, wanted)
      .select([
        'users.user_id',
        'is_admin',
        'is_guest',
        'is_locked',
        'is_suspended',
        'is_deactivated',
        'is_erased',
        'created_on',
      ]) // prettier-ignore
      .select([
        sql<string | null>`names.value::json #>> '{}'`.as('display_name'),
        sql<string | null>`avatars.value::json #>> '{}'`.as('avatar_url'),
        sql<string | null>`${orders.last_seen_ts}`.as('last_seen_on'),
      ])
      .orderBy(sql`${orders[page.order]} ${direction}`)
      .orderBy('users.user_id')
      .offset(page.from)
      .limit(page.limit)
      .execute(),
    matching(reader, wanted)
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow(),
  ])
  return {
    total: counted.total,
    users: rows.map(row => ({
      // The column holds nothing but user IDs that were parsed before they were inserted.
      userId: row.user_id as UserId,
      displayName: row.display_name,
      avatarUrl: row.avatar_url,
      isAdmin: row.is_admin,
      isGuest: row.is_guest,
      isLocked: row.is_locked,
      isSuspended: row.is_suspended,
      isDeactivated: row.is_deactivated,
      isErased: row.is_erased,
      createdOn: row.created_on,
      lastSeenOn: row.last_seen_on,
    })),
  }
}

/** All account data of a user: the room's ID (`null`: global), the type and the JSON text. */
export async function allAccountData(
  reader: Reader,
  userNumber: number,
): Promise<{ readonly roomId: string | null; readonly type: string; readonly content: string }[]> {
  const rows = await reader
    .selectFrom('account_data')
    .leftJoin('rooms', 'rooms.room_number', 'account_data.room_number')
    .select(['rooms.room_id', 'account_data.room_number', 'type', 'content'])
    .where('user_number', '=', userNumber)
    .orderBy('type')
    .execute()
  return rows.flatMap(row =>
    row.room_number !== 0 && row.room_id === null
      ? []
      : [{ roomId: row.room_id, type: row.type, content: row.content }],
  )
}
