import Type from 'typebox'
import { makeToken, tokenAnswer, tokenLengthLimit } from '../../../admin/registration-tokens.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html#create-token */
export const postRegistrationToken = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/registration_tokens/new',
  auth: 'admin',
  limit: 'light',
  body: Type.Object({
    token: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    length: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: tokenLengthLimit }), Type.Null()])),
    uses_allowed: Type.Optional(Type.Union([Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), Type.Null()])),
    expiry_time: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
  }),
  handle: async (ctx, { body }) => {
    const made = await makeToken(ctx, {
      token: body.token ?? null,
      length: body.length ?? null,
      usesAllowed: body.uses_allowed ?? null,
      expiresTs: body.expiry_time ?? null,
    })
    return tokenAnswer(made)
  },
})
