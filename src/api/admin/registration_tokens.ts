import Type from 'typebox'
import { changeToken, findToken, listTokens, removeToken, tokenAnswer } from '../../admin/registration-tokens.ts'
import { boolean, optional, string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

const path = '/_synapse/admin/v1/registration_tokens'
const limits = {
  uses_allowed: Type.Optional(Type.Union([Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), Type.Null()])),
  expiry_time: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
}

/** https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html */
export const getRegistrationTokens = endpoint({
  method: 'GET',
  path,
  auth: 'admin',
  limit: 'light',
  query: { valid: optional(boolean) },
  handle: async (ctx, { query }) => ({
    registration_tokens: (await listTokens(ctx, query.valid ?? null)).map(tokenAnswer),
  }),
})

/** One token. */
export const getRegistrationToken = endpoint({
  method: 'GET',
  path: `${path}/:token`,
  auth: 'admin',
  limit: 'light',
  params: { token: string },
  handle: async (ctx, { params }) => tokenAnswer(await findToken(ctx, params.token)),
})

/** Changes how often, or until when, a token can be used. */
export const putRegistrationToken = endpoint({
  method: 'PUT',
  path: `${path}/:token`,
  auth: 'admin',
  limit: 'light',
  params: { token: string },
  body: Type.Object(limits),
  handle: async (ctx, { params, body }) => {
    const changed = await changeToken(ctx, params.token, {
      ...(body.uses_allowed === undefined ? {} : { usesAllowed: body.uses_allowed }),
      ...(body.expiry_time === undefined ? {} : { expiresTs: body.expiry_time }),
    })
    return tokenAnswer(changed)
  },
})

/** Takes a token back. */
export const deleteRegistrationToken = endpoint({
  method: 'DELETE',
  path: `${path}/:token`,
  auth: 'admin',
  limit: 'light',
  params: { token: string },
  handle: async (ctx, { params }) => {
    await removeToken(ctx, params.token)
    return {}
  },
})
