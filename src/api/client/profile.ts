import { requireSelf } from '../../accounts/account-data.ts'
import { profileField, profileSeenBy, removeProfileField, setProfileField } from '../../accounts/profile.ts'
import { type Context } from '../../context.ts'
import { MatrixError, missingParam, missingToken, notFound } from '../../errors.ts'
import { longString, schemas, userId } from '../../http/decoders.ts'
import { endpoint, type User } from '../../http/endpoint.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { type JsonObject, type JsonValue } from '../../protocol/json.ts'
import { refuseSuspended } from '../../rooms/actor.ts'

// The key is checked where its rules are known: one that is too long has an error code of its own.
const params = { userId, keyName: longString }
const unstable = '/_matrix/client/unstable/uk.tcpip.msc4133/profile/:userId'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid */
export const getProfile = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/profile/:userId',
  aliases: [unstable],
  auth: 'optional',
  limit: 'light',
  params: { userId },
  handle: async (ctx, { caller, params }) => {
    requireReader(ctx, caller)
    const fields = await profileSeenBy(ctx, caller, params.userId)
    if (!fields) throw notFound('There is no such profile')
    return fields
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname */
export const getProfileField = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/profile/:userId/:keyName',
  aliases: [`${unstable}/:keyName`],
  auth: 'optional',
  limit: 'light',
  params,
  handle: async (ctx, { caller, params }) => {
    requireReader(ctx, caller)
    return { [params.keyName]: await profileField(ctx, caller, params.userId, params.keyName) }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname */
export const putProfileField = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/profile/:userId/:keyName',
  aliases: [`${unstable}/:keyName`],
  auth: 'guest',
  limit: 'light',
  params,
  body: schemas.object,
  handle: async (ctx, { caller, params, body }) => {
    requireWriter(caller, params.userId, params.keyName)
    const value = bodyField(body, params.keyName)
    if (value === undefined) throw missingParam(params.keyName)
    await setProfileField(ctx, caller, params.keyName, value)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname */
export const deleteProfileField = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/profile/:userId/:keyName',
  aliases: [`${unstable}/:keyName`],
  auth: 'guest',
  limit: 'light',
  params,
  handle: async (ctx, { caller, params }) => {
    requireWriter(caller, params.userId, params.keyName)
    await removeProfileField(ctx, caller, params.keyName)
    return {}
  },
})

function bodyField(body: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(body, key) ? body[key] : undefined
}

/** Profiles are for people who are signed in, unless the operator says otherwise: the spec lets servers choose. */
function requireReader(ctx: Context, caller: User | null): void {
  if (!caller && ctx.config.profiles.visibleTo !== 'everyone') throw missingToken()
}

/** People change their own profile; guests their name only. */
function requireWriter(caller: User, owner: UserId, key: string): void {
  requireSelf(caller, owner)
  refuseSuspended(caller)
  if (caller.isGuest && key !== 'displayname') {
    throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may only set their display name')
  }
}
