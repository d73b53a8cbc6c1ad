import Type from 'typebox'
import { accountAnswer, listedAnswer, putAccount } from '../../admin/users.ts'
import { localAccount } from '../../admin/local-account.ts'
import { type Context } from '../../context.ts'
import { invalidParam, notFound } from '../../errors.ts'
import { boolean, integer, limit, list, oneOf, optional, string, userId, withDefault } from '../../http/decoders.ts'
import { endpoint, jsonReply } from '../../http/endpoint.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { type ListedUser, listUsers, userOrders, type UsersWanted } from '../../storage/admin-users.ts'

const listQuery = {
  from: withDefault(integer({ min: 0 }), 0),
  limit: limit(100, 1_000),
  user_id: optional(string),
  name: optional(string),
  guests: withDefault(boolean, true),
  admins: optional(boolean),
  deactivated: optional(boolean),
  locked: withDefault(boolean, false),
  suspended: optional(boolean),
  not_user_type: list(string),
  order_by: withDefault(oneOf(...userOrders), 'name'),
  dir: withDefault(oneOf('f', 'b'), 'f'),
}

type ListQuery = { readonly [Name in keyof typeof listQuery]: ReturnType<(typeof listQuery)[Name]['decode']> }

async function usersPage(ctx: Context, query: ListQuery, isDeactivated: boolean | null) {
  const wanted: UsersWanted = {
    exactId: null,
    userId: query.name === undefined ? (query.user_id ?? null) : null,
    name: query.name ?? null,
    isGuest: query.guests ? null : false,
    isAdmin: query.admins ?? null,
    isDeactivated,
    isLocked: query.locked ? null : false,
    isSuspended: query.suspended ?? null,
  }
  const { from, limit: most, order_by: order, dir: direction } = query
  const { users, total } = await listUsers(ctx.db.kysely, ctx.numbers.sealer, wanted, {
    order,
    direction,
    from,
    limit: most,
  })
  const reached = from + users.length
  return {
    users: users.map(listedAnswer),
    total,
    ...(reached < total && users.length > 0 ? { next_token: String(reached) } : {}),
  }
}

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-accounts-v2 */
export const getUsersV2 = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/users',
  auth: 'admin',
  limit: 'light',
  query: listQuery,
  // Version 2 leaves deactivated accounts out, or lists them with the others.
  handle: (ctx, { query }) => usersPage(ctx, query, query.deactivated === true ? null : false),
})

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-accounts-v3 */
export const getUsersV3 = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v3/users',
  auth: 'admin',
  limit: 'light',
  query: listQuery,
  handle: (ctx, { query }) => usersPage(ctx, query, query.deactivated ?? null),
})

async function listedUser(ctx: Context, id: UserId): Promise<ListedUser> {
  await localAccount(ctx, id)
  const wanted = { exactId: id, userId: null, name: null, isGuest: null, isAdmin: null, isDeactivated: null, isLocked: null, isSuspended: null } // prettier-ignore
  const { users } = await listUsers(ctx.db.kysely, ctx.numbers.sealer, wanted, {
    order: 'name',
    direction: 'f',
    from: 0,
    limit: 1,
  })
  const [user] = users
  if (!user) throw notFound('User not found')
  return user
}

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#query-user-account */
export const getUser = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/users/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { params }) => accountAnswer(await listedUser(ctx, params.userId)),
})

const nullableText = Type.Optional(Type.Union([Type.String(), Type.Null()]))

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#create-or-modify-account */
export const putUser = endpoint({
  method: 'PUT',
  path: '/_synapse/admin/v2/users/:userId',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({
    password: nullableText,
    logout_devices: Type.Optional(Type.Boolean()),
    displayname: nullableText,
    avatar_url: nullableText,
    admin: Type.Optional(Type.Boolean()),
    locked: Type.Optional(Type.Boolean()),
    deactivated: Type.Optional(Type.Boolean()),
    user_type: nullableText,
    threepids: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 100 })),
    external_ids: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 100 })),
  }),
  handle: async (ctx, { caller, params, body }) => {
    // What is not kept here must not seem to be.
    for (const key of ['threepids', 'external_ids'] as const) {
      if ((body[key] ?? []).length > 0) throw invalidParam(`This server keeps no ${key}`)
    }
    if ((body.user_type ?? null) !== null) throw invalidParam('This server knows no types of users')
    const isNew = await putAccount(ctx, caller, params.userId, {
      logOut: body.logout_devices !== false,
      ...(body.password === undefined ? {} : { password: body.password }),
      ...(body.displayname === undefined ? {} : { displayName: body.displayname }),
      ...(body.avatar_url === undefined ? {} : { avatarUrl: body.avatar_url }),
      ...(body.admin === undefined ? {} : { isAdmin: body.admin }),
      ...(body.locked === undefined ? {} : { isLocked: body.locked }),
      ...(body.deactivated === undefined ? {} : { isDeactivated: body.deactivated }),
    })
    return jsonReply(isNew ? 201 : 200, accountAnswer(await listedUser(ctx, params.userId)))
  },
})
